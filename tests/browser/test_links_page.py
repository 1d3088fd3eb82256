"""Shared links: made on their page, opened by somebody without a session, and on a wall."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import expect_mode, figure, looked_at, sign_in, skip_until
from tests.browser.fake_site import FakeSite
from tests.browser.service import Service


def make(page: Page, service: Service, *parts: str) -> str:
    """The address of a new link."""
    page.goto(f"{service.url}/links")
    form = page.locator("#add")
    form.get_by_label("Label").fill("Entrance hall")
    for part in parts:
        form.get_by_label(part).check()
    form.get_by_role("button", name="Create").click()
    expect(page.locator("#handout")).to_be_focused()
    return page.locator("#handout-secret").inner_text()


def test_it_works(tab: Page, other_tab: Page, service: Service) -> None:
    """A link is live at once, has its parts only, and ends within seconds."""
    admin, page = looked_at(tab, 390), looked_at(other_tab, 390)
    sign_in(admin.context, service)
    address = make(admin, service, "The numbers of accounts")
    assert violations(admin) == []
    assert admin.evaluate("document.documentElement.scrollWidth") <= 390

    page.goto(address)
    expect_mode(page, "live")
    expect(page.get_by_role("heading", level=1)).to_have_text("Entrance hall")
    before = figure(page, "total.sent")
    assert before >= 30
    expect(page.locator("#chart canvas")).to_be_visible()
    page.get_by_role("button", name="Last hour").click()
    expect(page.locator("#when")).to_have_text("Last hour")
    expect(page.locator("#accounts-rows")).to_have_count(0)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.context.cookies() == []
    service.send(3, 0)
    service.publish()
    expect(page.locator("[data-figure='total.sent']")).not_to_have_text(f"{before:,}")

    admin.reload()
    admin.get_by_role("button", name="Revoke Entrance hall").first.click()
    expect(admin.locator("#done")).to_contain_text("was revoked")
    expect_mode(page, "expired", seconds=60)
    expect(page.locator("#badge")).to_have_text("Ended")
    assert page.goto(address).status == 404  # type: ignore[union-attr]


@pytest.mark.parametrize("path", ["/?wall"])
def test_on_a_wall(
    other_tab: Page, site: FakeSite, init_script: Callable[[Page, str], None], path: str
) -> None:
    """Dark, large, without controls, awake; after an update of the service it loads itself anew."""
    page = other_tab
    page.set_viewport_size({"width": 1920, "height": 1080})
    init_script(
        page,
        """window.asked = [];
        Object.defineProperty(navigator, "wakeLock", { value: {
            request: async (kind) => { window.asked.push(kind); } } });""",
    )
    page.goto(site.url + path)
    expect_mode(page, "polling")
    assert page.evaluate("window.asked") == ["screen"]
    assert page.locator("button, a, select").count() == 0
    size = page.evaluate(
        "parseFloat(getComputedStyle(document.querySelector('.lead .number')).fontSize)"
    )
    assert size > 40
    assert violations(page) == []
    page.evaluate("document.body.dataset.marked = 'yes'")
    page.clock.fast_forward("16:00")
    expect(page.locator("body")).to_have_attribute("data-marked", "yes")
    page.route(site.url + path, lambda route: renewed(route, site))
    gone = expect(page.locator("body[data-marked]"))
    skip_until(page, lambda: gone.to_have_count(0, timeout=3_000), step=16 * 60)


def renewed(route: object, site: FakeSite) -> None:
    """The page of another version of the service."""
    answer = route.fetch()  # type: ignore[attr-defined]
    body = answer.text().replace('data-build="', 'data-build="newer-')
    route.fulfill(response=answer, body=body)  # type: ignore[attr-defined]
