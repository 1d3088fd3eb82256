"""No text of a page stands on another or outside its box: 320 to 2,560 px, 1 to 12 digits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.browser.conftest import expect_all, expect_mode
from tests.browser.every_page import EACH, VIEWS, EveryPage, opened
from tests.browser.fake_site import FakeSite, snapshot, started

pytestmark = pytest.mark.slow(40)

MAIN_WIDTHS = [320, 390, 1024, 1440, 2560]
WIDTHS = [320, 360, 390, 480, 640, 768, 896, 1024, 1100, 1184, 1280, 1440, 1920, 2560]
TOTALS = [7, 99_999, 9_999_999, 999_999_999_999]

FAULTS = r"""() => {
  // Every line of text that is seen, with the box that must hold it.
  const lines = [];
  const unseen = "script, noscript, .visually-hidden, .skip, option";
  const hidden = ".button-words, #pause-label, .brand span";
  const walker = document.createTreeWalker(document.querySelector("body"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest(unseen)) continue;
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    if (element.closest(hidden)?.offsetWidth === 1) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const cut = element.closest(".account-name, .account-id, .scroller, .second, .top nav");
    const boxes = ".tile, td, th, .panel, .button, .badge, .top, .shared-top, footer, main";
    const box = element.closest(boxes);
    const inner = (cut ?? box).getBoundingClientRect();
    for (const rect of range.getClientRects()) {
      const { top, bottom } = rect;
      const left = cut ? Math.max(rect.left, inner.left) : rect.left;
      const right = cut ? Math.min(rect.right, inner.right) : rect.right;
      // What is cut with an ellipsis, or scrolled away, is not seen.
      if (right - left < 1 || (cut && (bottom > inner.bottom + 1 || top < inner.top - 1))) continue;
      const clipped = { left, right, top, bottom };
      const text = node.textContent.trim().slice(0, 40);
      lines.push({ node, element, text, rect: clipped, inner });
    }
  }
  const found = [];
  const before = new Set();
  for (const { node, text } of lines) {
    if (before.has(node) && /^[^ ]+@[^ ]+$|^[\d,.]+$/.test(node.textContent.trim())) {
      found.push(`"${text}" is broken in the middle of a word`);
    }
    before.add(node);
  }
  for (const { element, text, rect, inner } of lines) {
    // All ids begin alike.
    const id = /^\d+$/.test(text) && element.closest(".account-name, .account-id");
    if (id && id.scrollWidth > id.clientWidth) found.push(`"${text}" is cut`);
    const across = Math.max(inner.left - rect.left, rect.right - inner.right);
    const out = Math.max(across, rect.bottom - inner.bottom, inner.top - rect.top);
    if (out > 1) found.push(`"${text}" is ${Math.round(out)} px outside its box`);
    // Rows of a table are covered by the link of their name, on purpose.
    for (const x of element.closest("tr") ? [] : [rect.left + 1, rect.right - 1]) {
      const top = document.elementFromPoint(x, (rect.top + rect.bottom) / 2);
      if (top && !top.contains(element) && !element.contains(top)) {
        found.push(`"${text}" is covered by ${top.outerHTML.slice(0, 60)}`);
      }
    }
    if (rect.left < -1 || rect.right > innerWidth + 1) found.push(`"${text}" is off the page`);
  }
  lines.sort((a, b) => a.rect.top - b.rect.top);
  for (let i = 0; i < lines.length; i += 1) {
    for (let j = i + 1; j < lines.length; j += 1) {
      const [a, b] = [lines[i], lines[j]];
      if (b.rect.top > a.rect.bottom) break;
      if (a.node === b.node) continue;
      const wide = Math.min(a.rect.right, b.rect.right) - Math.max(a.rect.left, b.rect.left);
      // Lines of text are higher than their letters.
      const high = Math.min(a.rect.bottom, b.rect.bottom) - Math.max(a.rect.top, b.rect.top);
      const most = 0.3 * Math.min(a.rect.bottom - a.rect.top, b.rect.bottom - b.rect.top);
      if (wide > 1 && high > most) found.push(`"${a.text}" stands on "${b.text}"`);
    }
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page scrolls sideways");
  return found;
}"""


DRAWN = f"""async () => {{
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return [innerWidth, innerHeight, ({FAULTS})()];
}}"""
HEIGHT = 4000
DEVICE = {"height": HEIGHT, "deviceScaleFactor": 1, "mobile": False, "scale": 0.1}


class Sheet:
    """A page in a window so high that all is in view: elementFromPoint() sees nothing else.

    The browser lays the page out as ever, but paints the window at a tenth of its size, which takes
    half the time. A mouse would miss what it aims at.
    """

    def __init__(self, page: Page, session: CDPSession) -> None:
        self.page = page
        self._session = session

    def look(self, widths: list[int]) -> list[str]:
        """What is wrong at each width."""
        faults = []
        for width in widths:
            self._session.send("Emulation.setDeviceMetricsOverride", {**DEVICE, "width": width})
            *size, found = self.page.evaluate(DRAWN)
            assert size == [width, HEIGHT]
            faults += [f"{width} px: {fault}" for fault in found]
        return faults


@pytest.fixture
def sheet(tab: Page) -> Iterator[Sheet]:
    session = tab.context.new_cdp_session(tab)
    yield Sheet(tab, session)
    session.detach()  # which undoes what it has set


@pytest.fixture(scope="module")
def every_page() -> Iterator[EveryPage]:
    with started(EveryPage()) as site:
        yield site


@pytest.mark.parametrize("total", TOTALS)
def test_the_overview(sheet: Sheet, site: FakeSite, total: int) -> None:
    site.snapshot = snapshot(total)
    sheet.page.goto(site.url)
    expect_all(sheet.page)
    assert sheet.look(WIDTHS) == []


def test_the_overview_with_everything_open(sheet: Sheet, site: FakeSite) -> None:
    page = sheet.page
    site.snapshot = snapshot(684_497_484)
    site.hours.per_hour = 684_497_484
    site.snapshot["audit"]["drift"] = -684_497_484
    site.snapshot["ageSeconds"] = 9_000.0
    page.goto(f"{site.url}/?range=30d&compare=previous")
    expect_mode(page, "stale")
    for details in page.locator("details:visible").all():
        details.evaluate("(details) => (details.open = true)")
    page.get_by_label("Range").select_option("custom")
    page.get_by_role("button", name="Hours").press("Enter")
    expect(page.locator("#heat-rows tr")).to_have_count(7)
    page.get_by_role("button", name="Table").press("Enter")
    expect(page.locator("#compared")).to_contain_text("Compared with")
    expect(page.locator("#chart-table thead th")).to_have_count(8)
    assert sheet.look(WIDTHS) == []


def test_the_first_figures_without_scripts(scriptless: Page, site: FakeSite) -> None:
    site.snapshot = snapshot(684_497_484)
    scriptless.goto(site.url)
    lead = scriptless.locator("[data-figure='total.sent']")
    expect(lead.locator("[aria-hidden]")).to_have_text("684.4M")
    expect(lead.locator(".visually-hidden")).to_have_text("684,497,484")
    expect(lead).to_have_attribute("title", "684,497,484")


@pytest.mark.parametrize("digits", EACH)
def test_every_page(sheet: Sheet, every_page: EveryPage, digits: int) -> None:
    """At five widths in light, and at one in dark, which differs in nothing but colours."""
    every_page.fill(digits)
    page, faults = sheet.page, []
    for name, view in VIEWS.items():
        if digits not in view.digits:
            continue
        page.emulate_media(color_scheme="light")
        opened(page, every_page, view)
        faults += [f"{name}, {fault}" for fault in sheet.look(MAIN_WIDTHS)]
        page.emulate_media(color_scheme="dark")
        faults += [f"{name}, dark, {fault}" for fault in sheet.look([390])]
    assert faults == []


def test_a_long_number_is_exact_for_screen_readers(tab: Page, site: FakeSite) -> None:
    site.snapshot = snapshot(684_497_484)
    tab.goto(site.url)
    lead: Any = tab.locator("[data-figure='total.sent']")
    expect(lead).to_have_attribute("title", "684,497,484")
    expect(lead.locator("[aria-hidden=true]")).to_have_text("684.4M")
    expect(lead.locator(".visually-hidden")).to_have_text("684,497,484")
