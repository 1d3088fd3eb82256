"""What the badge says in each state, with the real cause each time, and how the page comes back."""

from __future__ import annotations

import re
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import redis
from playwright.sync_api import BrowserContext, Page, expect

from dmstats.ops.delivery_log import KEY, Record
from tests.browser.axe import violations
from tests.browser.conftest import (
    QUICK,
    eventually,
    expect_mode,
    expect_state,
    figure,
    go_offline,
    open_dashboard,
    quick_service,
    sent_in_all,
    serving,
    sign_in,
    skip_to_mode,
    unused_name,
)
from tests.browser.service import Service
from tests.keyspace import key_of
from tests.servers import Redis, Secantus, running

pytestmark = pytest.mark.slow(60)

Start = Callable[..., Service]


def streams_of(page: Page) -> list[str]:
    """Collects the addresses of the streams that ``page`` opens from now on."""
    opened: list[str] = []
    page.on("request", lambda r: opened.append(r.url) if "/stats/stream" in r.url else None)
    return opened


def polls_of(page: Page) -> list[str]:
    opened: list[str] = []
    page.on("request", lambda r: opened.append(r.url) if r.url.endswith("/admin/stats") else None)
    return opened


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
def page(context: BrowserContext, service: Service) -> Page:
    """The dashboard, signed in and live, in a profile of its own, which is watched or cut off."""
    sign_in(context, service)
    return open_dashboard(context, service)


def test_it_works_without_polling(page: Page) -> None:
    polls = polls_of(page)
    page.wait_for_timeout(5000)
    expect_mode(page, "live")
    assert polls == []


@pytest.fixture(scope="module")
def breakable(
    mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Redis]]:
    """A service and its Redis, which a test may stop if it starts them again."""
    folder = tmp_path_factory.mktemp("breakable")
    with running(Redis(folder / "redis")) as cache:
        uris = {"mongodb_uri": mongodb_uri, "redis_url": cache.url, "MONGODB_DB": unused_name()}
        with serving(Service(folder / "service", **uris, **QUICK)) as service:
            service.send(5, 3)
            service.refresh()
            yield service, cache


@pytest.fixture(scope="module")
def without_streams(
    mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("without-streams")
    with quick_service(folder, mongodb_uri, unused_name(), STATS_MAX_STREAMS="0") as service:
        service.send(5)
        service.refresh()
        yield service


def test_redis_gone_and_back(context: BrowserContext, breakable: tuple[Service, Redis]) -> None:
    service, redis_server = breakable
    sign_in(context, service)
    page = open_dashboard(context, service)
    redis_server.kill()
    expect_mode(page, "polling", seconds=30)
    expect(page.locator("#sentence")).to_contain_text("No live stream")
    before = figure(page, "total.sent")
    service.send(4)
    service.refresh()
    expect(page.locator("[data-figure='total.sent']")).to_have_text(f"{before + 4:,}")
    redis_server.start()
    skip_to_mode(page, "live")


def test_the_service_gone_and_back(
    context: BrowserContext, breakable: tuple[Service, Redis]
) -> None:
    service, _ = breakable
    sign_in(context, service)
    page = open_dashboard(context, service)
    before = figure(page, "total.sent")
    service.stop()
    expect_mode(page, "offline", seconds=30)
    expect(page.locator("#sentence")).to_contain_text("The service does not answer")
    expect(page).to_have_title("Offline · dmstats")
    assert figure(page, "total.sent") == before
    service.start()
    skip_to_mode(page, "live")
    expect(page).to_have_title("dmstats")


def test_over_the_stream_cap_the_page_polls(
    context: BrowserContext, without_streams: Service
) -> None:
    service = without_streams
    sign_in(context, service)
    page = open_dashboard(context, service, mode="polling")
    streams = streams_of(page)
    before = figure(page, "total.sent")
    service.send(2)
    service.refresh()
    expect(page.locator("[data-figure='total.sent']")).to_have_text(f"{before + 2:,}")
    eventually(page, lambda: bool(streams), seconds=30)


def test_the_one_stream_there_is_goes_to_the_next_page(
    context: BrowserContext, own_service: Start
) -> None:
    service = own_service(STATS_MAX_STREAMS="1")
    sign_in(context, service)
    first = open_dashboard(context, service)
    second = open_dashboard(context, service, mode="polling")
    first.close()
    skip_to_mode(second, "live")


def test_figures_that_are_too_old_look_it(
    context: BrowserContext,
    open_context: Callable[..., BrowserContext],
    own_service: Start,
) -> None:
    service = own_service(STATS_REFRESHER="off", STATS_REFRESH_INTERVAL="4")
    service.send(5)
    service.refresh()
    sign_in(context, service)
    page = context.new_page()
    page.goto(service.url)
    expect_mode(page, "stale")
    expect_state(page, "figures", "stale")
    expect(page.locator("#sentence")).to_contain_text("The last update was due")
    asleep = open_context(java_script_enabled=False)
    sign_in(asleep, service)
    still = asleep.new_page()
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


def test_a_hidden_tab_closes_its_stream(page: Page, service: Service) -> None:
    before = sent_in_all(page, service)
    ended: list[str] = []
    page.on("requestfailed", lambda r: ended.append(r.url))
    streams = streams_of(page)
    hide(page, hidden=True)
    eventually(page, lambda: len(ended) == 1)
    service.send(3)
    service.refresh()
    page.wait_for_timeout(2500)
    assert figure(page, "total.sent") == before
    assert streams == []
    hide(page, hidden=False)
    expect_mode(page, "live")
    expect(page.locator("[data-figure='total.sent']")).to_have_text(f"{before + 3:,}")
    assert len(streams) == 1
    assert re.search(r"\?last_event_id=\d+-\d+$", streams[0])


def test_many_tabs_leave_connections_for_requests(
    page: Page, context: BrowserContext, service: Service
) -> None:
    pages = [page]
    for _ in range(6):  # as many connections to a host as the browser has
        hide(pages[-1], hidden=True)
        pages.append(open_dashboard(context, service))
    pages[-1].click("#refresh")
    expect(pages[-1].locator("#refresh-label")).not_to_have_text("No answer")
    expect_mode(pages[-1], "live")


def test_a_session_that_ended_asks_to_sign_in_again(
    context: BrowserContext, without_streams: Service
) -> None:
    service = without_streams
    sign_in(context, service)
    page = open_dashboard(context, service, mode="polling")
    polls = polls_of(page)
    context.clear_cookies()
    expect_mode(page, "expired")
    expect(page.locator("#badge")).to_have_text("Signed out")
    link = page.get_by_role("link", name="Sign in again")
    seen = len(polls)
    page.wait_for_timeout(3000)
    assert len(polls) == seen
    link.click()
    page.fill("#email", service.email)
    page.fill("#password", service.password)
    page.get_by_role("button", name="Sign in").click()
    expect_mode(page, "polling")


@pytest.fixture
def own_database(tmp_path: Path) -> Iterator[Secantus]:
    """A database server of the test's own, which it may kill."""
    server = Secantus(tmp_path / "database")
    with running(server):
        yield server


def test_failing_deliveries_are_shown_with_a_countdown(
    context: BrowserContext, own_database: Secantus, own_service: Start, redis_server: Redis
) -> None:
    service = own_service(mongodb_uri=own_database.uri)
    sign_in(context, service)
    page = open_dashboard(context, service)
    notice = page.locator("#trouble")
    expect(notice).to_be_hidden()
    own_database.kill()
    with pytest.raises(urllib.error.HTTPError, match="503"):
        service.send(1)
    with redis.Redis.from_url(redis_server.url) as client:
        key = key_of(client, KEY)
        eventually(page, lambda: client.hlen(key) == 1, seconds=30)
        (record,) = client.hvals(key)
        # A failure is told once it lasts: another worker has seen it before, instead of a minute's
        # wait. This one's own record is written again whenever a delivery fails.
        failing = msgspec.json.decode(record, type=Record)
        failing.failing_since -= 20 * 60_000
        client.hset(key, "another", msgspec.json.encode(failing))
    expect(notice).to_contain_text("Meta may disable the webhook in", timeout=30_000)
    expect(notice).to_have_attribute("data-level", "bad")
    first = notice.inner_text()
    expect(notice).not_to_have_text(first)
    assert violations(page) == []
    own_database.start()
    eventually(page, lambda: delivered(service), seconds=60)
    expect(notice).to_be_hidden(timeout=30_000)


def delivered(service: Service) -> bool:
    """Try as Meta does: whether the service takes a DM again."""
    try:
        service.send(1)
    except OSError:
        return False
    return True
