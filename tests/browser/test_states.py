"""What the badge says in each state, with the real cause each time, and how the page comes back."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import (
    eventually,
    expect_mode,
    expect_state,
    figure,
    go_offline,
    listening,
    open_dashboard,
    polls_of,
    quick_service,
    sent_in_all,
    sign_in,
    streams_of,
    unused_name,
)
from tests.browser.service import Service

pytestmark = pytest.mark.slow(40)


def hide(page: Page, *, hidden: bool) -> None:
    """What the browser does when the reader goes to another tab (headless, it never does)."""
    page.evaluate(
        """(hidden) => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


@pytest.fixture
def page(other_tab: Page, service: Service) -> Page:
    """The dashboard, signed in and live, with a clock that can be set forward."""
    return opened(other_tab, service)


def opened(page: Page, service: Service, *, mode: str = "live") -> Page:
    sign_in(page.context, service)
    open_dashboard(page, service, mode=mode)
    return page


def test_it_works_without_polling(page: Page, requested: list[str]) -> None:
    requested.clear()
    page.clock.run_for(10_000)
    page.wait_for_timeout(500)
    expect_mode(page, "live")
    assert polls_of(requested) == []


@pytest.fixture(scope="module")
def unrefreshed(mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose figures are too old 6 s after a refresh."""
    settings = {"STATS_REFRESHER": "off", "STATS_REFRESH_INTERVAL": "4"}
    folder = tmp_path_factory.mktemp("unrefreshed")
    with quick_service(folder, mongodb_uri, unused_name(), **settings) as service:
        service.send(5)
        service.refresh()
        yield service


def test_figures_that_are_too_old_look_it(
    other_tab: Page, scriptless: Page, unrefreshed: Service
) -> None:
    service, page, still = unrefreshed, opened(other_tab, unrefreshed, mode="stale"), scriptless
    expect_state(page, "figures", "stale")
    expect(page.locator("#sentence")).to_contain_text("The last update was due")
    sign_in(still.context, service)
    still.goto(service.url)
    expect(still.locator("html")).to_have_attribute("data-figures", "stale")
    service.refresh()
    expect_mode(page, "live")
    expect_state(page, "figures", "fresh")


def test_offline_and_back(page: Page) -> None:
    go_offline(page)
    expect(page.locator("#sentence")).to_contain_text("This device seems to be offline")
    page.context.set_offline(False)
    expect_mode(page, "live")


def test_a_hidden_tab_closes_its_stream(page: Page, requested: list[str], service: Service) -> None:
    before = sent_in_all(page, service)
    ended: list[str] = []
    with listening(page, "requestfailed", lambda r: ended.append(r.url)):
        requested.clear()
        hide(page, hidden=True)
        eventually(page, lambda: len(ended) == 1)
    service.send(3)
    service.refresh()
    page.wait_for_timeout(2500)
    assert figure(page, "total.sent") == before
    assert streams_of(requested) == []
    hide(page, hidden=False)
    expect_mode(page, "live")
    expect(page.locator("[data-figure='total.sent']")).to_have_text(f"{before + 3:,}")
    (stream,) = streams_of(requested)
    assert re.search(r"\?last_event_id=\d+-\d+$", stream)


def test_many_tabs_leave_connections_for_requests(page: Page, service: Service) -> None:
    pages = [page]
    for _ in range(6):  # as many connections to a host as the browser has
        hide(pages[-1], hidden=True)
        pages.append(opened(page.context.new_page(), service))
    pages[-1].click("#refresh")
    expect(pages[-1].locator("#refresh-label")).not_to_have_text("No answer")
    expect_mode(pages[-1], "live")
