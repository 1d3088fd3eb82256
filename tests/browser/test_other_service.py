"""A service with settings of its own: nothing is counted at first, no worker refreshes or checks
the ledger, and there is one stream."""

from __future__ import annotations

import contextlib
import re
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import (
    NOTE_DRAWN,
    eventually,
    expect_mode,
    figure,
    open_dashboard,
    polls_of,
    quick_service,
    sign_in,
    skip_to_mode,
    skip_until,
    streams_of,
    unused_name,
)
from tests.browser.service import Service
from tests.servers import wait_until

pytestmark = pytest.mark.slow(45)

ACCOUNT = "17841400000000022"


@pytest.fixture(scope="module")
def other(mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """In Kathmandu, where midnight is 18:15 UTC; its page draws every 5 s at most. The one stream
    there is may for a moment be that of a page that was left."""
    settings = {
        "STATS_TIME_ZONE": "Asia/Kathmandu",
        "STATS_CLIENT_DEBOUNCE": "5",
        "STATS_REFRESHER": "off",
        "STATS_REFRESH_INTERVAL": "300",
        "STATS_MAX_STREAMS": "1",
    }
    folder = tmp_path_factory.mktemp("other")
    with quick_service(folder, mongodb_uri, unused_name(), **settings) as service:
        service.refresh()
        yield service


def open_live(page: Page, service: Service, path: str = "/") -> None:
    sign_in(page.context, service)
    page.goto(service.url + path)
    skip_to_mode(page, "live")


def test_before_the_first_message_it_says_what_to_do(tab: Page, other: Service) -> None:
    sign_in(tab.context, other)
    open_dashboard(tab, other)
    welcome = tab.locator("#welcome")
    expect(welcome).to_be_visible()
    expect(tab.locator("#callback")).to_have_text(f"{other.url}/api/webhooks/instagram")
    expect(tab.locator("#simulate")).to_contain_text("dmstats simulate")
    expect(tab.locator("#chart")).to_be_hidden()
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    welcome.get_by_role("button", name="Copy").last.click()
    expect(welcome.get_by_role("button", name="Copied")).to_be_visible()
    assert tab.evaluate("navigator.clipboard.readText()").endswith("/api/webhooks/instagram")
    other.send(1)
    other.publish()
    expect(welcome).to_be_hidden()
    expect(tab.locator("#chart canvas")).to_be_visible()


def test_an_accounts_hours_before_the_first_check(tab: Page, other: Service) -> None:
    other.send(1, account=ACCOUNT)
    sign_in(tab.context, other)
    tab.goto(f"{other.url}/accounts/{ACCOUNT}")
    expect(tab.locator("#uncounted")).to_contain_text("after the first check of the ledger")
    expect(tab.locator("#lately")).to_be_hidden()
    expect(tab.locator("[data-figure='hour-limit']")).to_contain_text("after the first check")
    expect(tab.locator("[data-figure='monthly']")).to_have_text("1")


def test_updates_within_the_debounce_are_drawn_once(other_tab: Page, other: Service) -> None:
    other.publish()
    open_live(other_tab, other)
    before = figure(other_tab, "total.sent")
    other_tab.evaluate(NOTE_DRAWN)
    for _ in range(3):
        other_tab.wait_for_timeout(1100)
        other.send(1)
        newest = other.publish()
    expect(other_tab.locator("[data-figure='total.sent']")).to_have_text(f"{before + 3}")
    assert other_tab.evaluate("window.drawn") == [newest["version"]]


def test_days_are_those_of_the_figures_time_zone(other_tab: Page, other: Service) -> None:
    tab = other_tab
    open_live(tab, other, "/?range=30d")
    since = tab.locator('[data-figure="today.since"]')
    expect(since).to_have_attribute("title", "Days begin at 00:00 Asia/Kathmandu")
    expect(since).to_have_text(re.compile(r"(?:19|20):15$"))
    today = tab.evaluate(
        """() => new Intl.DateTimeFormat("en", {day: "numeric", month: "short",
        timeZone: "Asia/Kathmandu"}).format(new Date())"""
    )
    expect(tab.locator("#chart canvas")).to_be_visible()
    tab.get_by_role("button", name="Table").click()
    expect(tab.locator("#chart-rows tr").first).to_contain_text(f"{today}, so far")


def test_the_one_stream_there_is_goes_to_the_next_page(other_tab: Page, other: Service) -> None:
    first = other_tab.context.new_page()
    open_live(first, other)
    second = other_tab
    open_dashboard(second, other, mode="polling")
    first.close()
    skip_to_mode(second, "live")


@pytest.fixture
def without_streams(other: Service, other_tab: Page) -> Iterator[Service]:
    """The same while another client has its stream."""
    sign_in(other_tab.context, other)
    cookies = "; ".join(f"{each['name']}={each['value']}" for each in other.session)
    request = urllib.request.Request(
        f"{other.url}/api/admin/stats/stream", headers={"Cookie": cookies}
    )
    with contextlib.ExitStack() as stack:

        def taken() -> bool:
            try:
                stack.enter_context(urllib.request.urlopen(request, timeout=30))
            except urllib.error.HTTPError:  # the page of the test before has it still
                return False
            return True

        wait_until(taken)
        yield other


def test_over_the_stream_cap_the_page_polls(
    other_tab: Page, requested: list[str], without_streams: Service
) -> None:
    service, page = without_streams, other_tab
    open_dashboard(page, service, mode="polling")
    requested.clear()
    before = figure(page, "total.sent")
    service.send(2)
    service.refresh()
    expect(page.locator("[data-figure='total.sent']")).to_have_text(f"{before + 2:,}")

    def stream_asked_for() -> None:
        eventually(page, lambda: bool(streams_of(requested)), seconds=1)

    skip_until(page, stream_asked_for, step=15)


def test_a_session_that_ended_asks_to_sign_in_again(
    other_tab: Page, requested: list[str], without_streams: Service
) -> None:
    service, page = without_streams, other_tab
    open_dashboard(page, service, mode="polling")
    page.context.clear_cookies()
    expect_mode(page, "expired")
    expect(page.locator("#badge")).to_have_text("Signed out")
    link = page.get_by_role("link", name="Sign in again")
    requested.clear()
    page.clock.run_for(10_000)
    page.wait_for_timeout(100)
    assert polls_of(requested) == []
    link.click()
    page.fill("#email", service.email)
    page.fill("#password", service.password)
    page.get_by_role("button", name="Sign in").click()
    expect_mode(page, "polling")


def test_too_many_attempts_say_so(tab: Page, other: Service) -> None:
    """The last test: from then on the service refuses this address."""
    wrong = {"email": "someone@example.com", "password": "not the password"}
    answers = (tab.context.request.post(f"{other.url}/login", data=wrong) for _ in range(30))
    assert any(answer.status == 429 for answer in answers)
    tab.goto(f"{other.url}/login")
    tab.get_by_label("Email").fill(wrong["email"])
    tab.get_by_label("Password").fill(wrong["password"])
    tab.get_by_role("button", name="Sign in").click()
    expect(tab.get_by_role("alert")).to_contain_text("Too many")
