"""The dashboard while all is well: what it shows, and what a reader can do with it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from dmstats.web.pages.first_paint import COUNTS
from tests.browser.conftest import (
    NOTE_DRAWN,
    TIME_ZONE,
    eventually,
    figure,
    sent_in_all,
    sign_in,
)
from tests.browser.service import Service

pytestmark = pytest.mark.slow(40)


def test_it_works(page: Page) -> None:
    expect(page.locator("#badge")).to_have_text("Live")
    expect(page.locator("#sentence")).to_have_text(re.compile(r"^Updated \d+s ago$"))
    assert figure(page, "total.sent") >= 30
    assert figure(page, "total.received") >= 20
    expect(page.locator("#chart canvas")).to_be_visible()
    expect(page.locator("#accounts-rows tr")).not_to_have_count(0)


def test_the_first_figures_need_no_script(scriptless: Page, service: Service) -> None:
    page = scriptless
    sign_in(page.context, service)
    page.goto(service.url)
    assert figure(page, "total.sent") >= 30
    assert figure(page, "today.received") >= 20
    expect(page.locator("#sentence")).to_have_text(
        re.compile(r"^Figures of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.$")
    )
    expect(page.locator(".noscript")).to_be_visible()


@pytest.mark.parametrize("language", ["de-DE", "en-IN", "fa-IR"])
def test_what_the_page_brings_is_what_its_script_would_write(
    tab: Page, service: Service, emulate: Callable[[str, str], None], language: str
) -> None:
    """The same digits whatever the reader's language, or the figures would jump."""
    page = tab
    emulate(language, TIME_ZONE)
    sign_in(page.context, service)
    held: list[Route] = []
    # Playwright takes no builtin for a handler.
    page.route("**/js/start.js", lambda route: held.append(route))  # noqa: PLW0108
    # No newer figures than those that the page brought.
    page.route("**/api/**", lambda route: route.abort())
    page.goto(service.url, wait_until="commit")
    expect(page.locator("footer")).to_be_attached()
    brought = page.locator("[data-figure]:not(:empty)").evaluate_all(
        "(elements) => elements.map((each) => [each.dataset.figure, each.textContent])"
    )
    assert len(brought) == len(COUNTS) + 1
    eventually(page, lambda: bool(held))
    held[0].continue_()
    expect(page.locator("html")).to_have_attribute("data-version", re.compile(r"\d"))
    for name, text in brought:
        expect(page.locator(f"[data-figure='{name}']")).to_have_text(text)


def test_it_updates_automatically(page: Page, service: Service) -> None:
    before = sent_in_all(page, service)
    service.send(7)
    service.publish()
    expect(page.locator("[data-figure='total.sent']")).to_have_text(f"{before + 7:,}")


def test_the_age_counts_up_and_a_refresh_sets_it_back(page: Page, service: Service) -> None:
    """A refresh on schedule may come at any moment, and a busy browser skips seconds."""
    ages: list[int] = []

    def look() -> None:
        if shown := re.fullmatch(r"Updated (\d+)s ago", page.locator("#sentence").inner_text()):
            ages.append(int(shown[1]))

    def counted_up() -> bool:
        look()
        if ages[-2:] != sorted(ages[-2:]):
            del ages[:-1]
        return bool(ages) and ages[-1] >= ages[0] + 3

    def set_back() -> bool:
        look()
        return ages[-1] < ages[-2]

    eventually(page, counted_up, seconds=60)
    service.publish()
    eventually(page, set_back, seconds=60)


def test_a_refresh_that_was_not_published_is_found_by_the_heartbeat(
    page: Page, service: Service
) -> None:
    sent = sent_in_all(page, service)
    refreshed: dict[str, object] = {"rateLimited": False}
    while not refreshed["rateLimited"]:  # a busy machine may need longer than the limit lasts
        service.refresh()
        service.send(1)
        sent += 1
        refreshed = service.refresh()
    expect(page.locator("[data-figure='total.sent']")).to_have_text(f"{sent:,}", timeout=60_000)


def test_an_older_version_is_never_drawn(page: Page, service: Service) -> None:
    body = page.request.get(f"{service.url}/api/admin/stats").json()
    page.route("**/api/admin/stats", lambda route: route.fulfill(json={**body, "version": "0-1"}))
    page.route("**/api/admin/stats/refresh", lambda route: route.fulfill(status=202, json={}))
    page.evaluate(NOTE_DRAWN)
    page.click("#refresh")
    expect(page.locator("#refresh-label")).to_have_text("Refreshed")
    # Only a newer one may have been drawn, if the service has refreshed meanwhile.
    assert "0-1" not in page.evaluate("window.drawn")
    assert page.locator("html").get_attribute("data-version") != "0-1"


def test_refreshing_twice_says_when_it_may_be_asked_again(page: Page, service: Service) -> None:
    label = page.locator("#refresh-label")
    page.route(
        "**/api/admin/stats/refresh",
        lambda route: route.fulfill(status=429, headers={"Retry-After": "3"}),
    )
    page.click("#refresh")
    expect(label).to_have_text("Again in 3s")
    expect(page.locator("#refresh")).to_have_attribute("aria-disabled", "true")
    expect(label).to_have_text("Again in 1s")
    expect(label).to_have_text("Refresh")


def test_the_refresh_button_brings_new_figures(page: Page, service: Service) -> None:
    before = sent_in_all(page, service)
    service.send(3)
    page.wait_for_timeout(1100)
    page.click("#refresh")
    expect(page.locator("[data-figure='total.sent']")).to_have_text(f"{before + 3:,}")


def test_a_paused_page_does_not_update_until_resumed(page: Page, service: Service) -> None:
    before = sent_in_all(page, service)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#badge")).to_have_text("Paused")
    service.send(2)
    service.refresh()
    page.wait_for_timeout(2500)
    assert figure(page, "total.sent") == before
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#badge")).to_have_text("Live")
    expect(page.locator("[data-figure='total.sent']")).to_have_text(f"{before + 2:,}")


def test_times_are_the_readers_and_the_hover_is_utc(page: Page) -> None:
    expect(page.locator("[data-figure='today.since']")).to_have_text(
        re.compile(r"^since (yesterday )?01:00$")
    )
    expect(page.locator("#sentence")).to_have_attribute("title", re.compile(r"\d UTC\)$"))


def test_only_changes_of_state_are_announced(page: Page, service: Service) -> None:
    line = page.locator("#announce")
    expect(line).to_have_text("Live: the figures update automatically.")
    page.evaluate(
        """() => {
            window.announced = 0;
            new MutationObserver(() => (window.announced += 1))
                .observe(document.querySelector("#announce"),
                         { childList: true, characterData: true, subtree: true });
        }"""
    )
    service.send(1)
    service.refresh()
    page.wait_for_timeout(2500)
    assert page.evaluate("window.announced") == 0


def test_keyboard_alone_reaches_everything(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    wanted = {"refresh", "pause", "table-button", "chart"}
    for _ in range(30):
        page.keyboard.press("Tab")
        wanted.discard(page.evaluate("document.activeElement.id"))
    assert not wanted
