"""Chromium, a service to look at, and pages that fail their test when the browser complains."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from playwright.sync_api import TimeoutError as NotInTime

from tests.browser.chromium import chromium as launched
from tests.browser.fake_site import FakeSite, started
from tests.browser.service import Service
from tests.servers import Redis, running

QUICK = {
    "STATS_REFRESH_INTERVAL": "30",
    "STATS_MIN_PUBLISH_INTERVAL": "1",
    "STATS_CLIENT_DEBOUNCE": "1",
    "STATS_POLL_INTERVAL": "2",
}
# Without motion a page that is left alone takes no CPU time.
USUAL: dict[str, Any] = {
    "locale": "en-GB",
    "timezone_id": "Europe/Berlin",
    "reduced_motion": "reduce",
}
Scheme = Literal["light", "dark"]
# What a browser logs when a request fails is no fault of the page.
EXPECTED = ("Failed to load resource", "net::ERR_")

expect.set_options(timeout=30_000)  # a busy machine needs so long


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def unused_name() -> str:
    """The name of a database that no other test has."""
    return f"browser_{uuid.uuid4().hex[:8]}"


def close(context: BrowserContext) -> None:
    """Close its pages. A request that a test's route is still answering must not fail the test, or
    the next one."""
    for page in context.pages:  # none, if the test has closed it
        page.unroute_all(behavior="ignoreErrors")
        context.unroute_all(behavior="ignoreErrors")
    context.close()


@contextlib.contextmanager
def serving(service: Service) -> Iterator[Service]:
    try:
        service.start()
        yield service
    finally:
        service.stop()


@contextlib.contextmanager
def quick_service(
    folder: Path, mongodb_uri: str, database: str, **settings: str
) -> Iterator[Service]:
    """A service with a database and a Redis of its own."""
    with running(Redis(folder / "redis")) as cache:
        uris = {"mongodb_uri": mongodb_uri, "redis_url": cache.url, "MONGODB_DB": database}
        with serving(Service(folder / "service", **{**uris, **QUICK, **settings})) as started:
            yield started


@pytest.fixture(scope="session")
def service(mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that every test may read and feed, but not break."""
    with quick_service(tmp_path_factory.mktemp("service"), mongodb_uri, "browser") as started:
        started.send(30, 20)
        started.refresh()
        yield started


@pytest.fixture(scope="session")
def counted(service: Service) -> Service:
    """The service once its ledger was checked, with some DMs of an hour ago."""
    hour_ago = int(time.time() * 1000) - 3_600_000
    service.send(7, 2, times=[hour_ago] * 9)
    service.audit()
    return service


@pytest.fixture
def contexts() -> list[BrowserContext]:
    """The test's browser profiles."""
    return []


@pytest.fixture(scope="session")
def fake_site() -> Iterator[FakeSite]:
    with started(FakeSite()) as site:
        yield site


@pytest.fixture
def site(fake_site: FakeSite) -> FakeSite:
    """The pages with fake API answers, which a test sets."""
    fake_site.reset()
    return fake_site


@pytest.fixture
def own_service(
    mongodb_uri: str, redis_server: Redis, tmp_path: Path, contexts: list[BrowserContext]
) -> Iterator[Callable[..., Service]]:
    """Starts a service with settings, a database and ``redis_server`` of its own.

    The browser goes first at the end: a worker that stops waits for idle connections.
    """
    with contextlib.ExitStack() as stack:

        def start(**settings: str) -> Service:
            name = unused_name()
            uris = {
                "mongodb_uri": mongodb_uri,
                "redis_url": redis_server.url,
                "MONGODB_DB": name,
            }
            return stack.enter_context(
                serving(Service(tmp_path / name, **{**uris, **QUICK, **settings}))
            )

        yield start
        while contexts:
            close(contexts.pop())


@pytest.fixture
def motion() -> str:
    """What the browser asks for."""
    return "reduce"


def watched(context: BrowserContext, complaints: list[str]) -> BrowserContext:
    """Add what its pages log to ``complaints``: errors and broken rules of the CSP."""

    def watch(page: Page) -> None:
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda message: heard(page, message))

    def heard(page: Page, message: Any) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
            complaints.append(f"{page.url}: {message.text}")

    context.on("page", watch)
    return context


@pytest.fixture
def open_context(
    chromium: Browser, contexts: list[BrowserContext], motion: str
) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browser profiles; at the end no page may have logged an error or broken the CSP."""
    complaints: list[str] = []

    def make(**options: Any) -> BrowserContext:
        context = chromium.new_context(**{**USUAL, "reduced_motion": motion, **options})
        contexts.append(context)
        return watched(context, complaints)

    yield make
    while contexts:
        close(contexts.pop())
    assert not complaints


@pytest.fixture(scope="session")
def lasting_tab(chromium: Browser) -> Iterator[tuple[Page, list[str]]]:
    complaints: list[str] = []
    context = watched(chromium.new_context(**USUAL), complaints)
    yield context.new_page(), complaints
    close(context)


@pytest.fixture
def tab(lasting_tab: tuple[Page, list[str]]) -> Iterator[Page]:
    """One tab for all tests that change nothing of it but what is undone here.

    The first page of a new profile costs twice as much: a process is started, and the scripts are
    fetched and compiled.
    """
    page, complaints = lasting_tab
    yield page
    page.unroute_all(behavior="ignoreErrors")
    page.context.set_offline(False)
    page.mouse.move(0, 0)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 720})
    page.evaluate("location.protocol === 'about:' || localStorage.clear()")
    page.context.clear_cookies()
    page.goto("about:blank")
    found = complaints[:]
    complaints.clear()
    assert not found


def looked_at(tab: Page, width: int, scheme: Scheme = "light") -> Page:
    """The tab in a window of that width, until the test ends."""
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)
    return tab


@pytest.fixture
def context(open_context: Callable[..., BrowserContext]) -> BrowserContext:
    return open_context()


@pytest.fixture
def page(tab: Page, service: Service) -> Page:
    """The dashboard, signed in and live."""
    sign_in(tab.context, service)
    tab.goto(service.url)
    expect_mode(tab, "live")
    return tab


def sign_in(context: BrowserContext, service: Service, *, alone: bool = False) -> None:
    """Give ``context`` the service's session, which its first test opens without going through the
    form; or one that it may end, ``alone``.

    A sign-in for each test would meet the limit of attempts by address.
    """
    if service.session and not alone:
        context.add_cookies(service.session)
        return
    form = {"email": service.email, "password": service.password}
    for last in (False, False, False, True):  # a busy machine may take too long
        answer = context.request.post(f"{service.url}/login", data=form)
        if answer.status != 503 or last:
            break
    assert answer.ok, answer.text()
    if not alone:
        service.session = [
            {key: cookie[key] for key in ("name", "value", "domain", "path")}
            for cookie in context.cookies(service.url)
        ]


def open_dashboard(
    context: BrowserContext, service: Service, path: str = "/", *, mode: str = "live"
) -> Page:
    page = context.new_page()
    page.clock.install()
    page.goto(service.url + path)
    expect_mode(page, mode)
    return page


def skip_until(page: Page, check: Callable[[], None], *, step: int) -> None:
    """Jump over the page's pauses between its attempts, ``step`` seconds at a time, until ``check``
    holds."""
    for _ in range(20):
        page.clock.fast_forward(step * 1000)
        with contextlib.suppress(AssertionError):
            check()
            return
    check()


def skip_to_mode(page: Page, mode: str) -> None:
    """Jump until the page is in ``mode``."""
    skip_until(page, lambda: expect_mode(page, mode, seconds=1), step=30)


def expect_mode(page: Page, mode: str, *, seconds: float = 60) -> None:
    """The badge (and all that depends on it) says ``mode``, in time."""
    expect_state(page, "mode", mode, seconds=seconds)


def expect_state(page: Page, name: str, value: str, *, seconds: float = 30) -> None:
    """The page's ``data-name`` is ``value``, in time.

    Not by expect(): each time it finds another value, it describes all that is in the element, for
    its message. Here that is the whole page, which takes 15 ms.
    """
    is_so = "([name, value]) => document.documentElement.dataset[name] === value"
    try:
        page.wait_for_function(is_so, arg=[name, value], timeout=seconds * 1000, polling=20)
    except NotInTime:
        found = page.evaluate("(name) => document.documentElement.dataset[name]", name)
        assert found == value, f"data-{name} after {seconds} s"


def go_offline(page: Page) -> None:
    """Cut the browser off, and tell the page until it has noticed: the browser tells it before
    requests fail, and a request that was sent before may still succeed."""
    page.context.set_offline(True)
    notice = """() => {
      if (document.documentElement.dataset.mode !== "offline") dispatchEvent(new Event("offline"));
      return document.documentElement.dataset.mode === "offline";
    }"""
    eventually(page, lambda: bool(page.evaluate(notice)))


def eventually(page: Page, condition: Callable[[], bool], *, seconds: float = 30) -> None:
    """Let the browser go on until ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        page.wait_for_timeout(50)


def sent_in_all(page: Page, service: Service) -> int:
    """The total that the page shows once it has all that earlier tests have sent."""
    service.publish()
    page.reload()
    expect_mode(page, "live")
    return figure(page, "total.sent")


def figure(page: Page, name: str) -> int:
    """A figure of the tiles as a number."""
    return int(page.locator(f"[data-figure='{name}']").inner_text().replace(",", ""))
