"""Chromium, a service to look at, and pages that fail their test when the browser complains."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, Request, expect

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
LOCALE, TIME_ZONE = "en-GB", "Europe/Berlin"
# Without motion a page that is left alone takes no CPU time.
USUAL: dict[str, Any] = {
    "locale": LOCALE,
    "timezone_id": TIME_ZONE,
    "reduced_motion": "reduce",
}
Scheme = Literal["light", "dark"]
# Whether the page comes into a state within as many milliseconds.
HAS_STATE = """([name, value, time]) => new Promise((done) => {
  const { documentElement } = document;
  if (!documentElement) return done(false);  // a document that has only begun
  const look = () => documentElement.dataset[name] === value && done(true);
  new MutationObserver(look).observe(documentElement, { attributeFilter: [`data-${name}`] });
  setTimeout(() => done(false), time);
  look();
})"""
# From now on, window.drawn has the versions that the page draws.
NOTE_DRAWN = """() => {
  window.drawn = [];
  new MutationObserver(() => window.drawn.push(document.documentElement.dataset.version))
    .observe(document.documentElement, { attributeFilter: ["data-version"] });
}"""
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
        started.publish()
        yield started


@pytest.fixture(scope="session")
def counted(service: Service) -> Service:
    """The service once its ledger was checked, with some DMs of an hour ago."""
    hour_ago = int(time.time() * 1000) - 3_600_000
    service.send(7, 2, times=[hour_ago] * 9)
    service.audit()
    return service


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
def open_context(chromium: Browser, motion: str) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browser profiles; at the end no page may have logged an error or broken the CSP."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def make(**options: Any) -> BrowserContext:
        context = chromium.new_context(**{**USUAL, "reduced_motion": motion, **options})
        contexts.append(context)
        return watched(context, complaints)

    yield make
    for context in contexts:
        close(context)
    assert not complaints


class Profile:
    """A browser profile with one tab, which tests have one after another.

    The first page of a new profile costs three times as much: a process is started, and the scripts
    are fetched and compiled.
    """

    def __init__(self, browser: Browser, *, clock: bool, **options: Any) -> None:
        self.clock = clock
        self.complaints: list[str] = []
        self.context = watched(browser.new_context(**options), self.complaints)
        self.page = self.context.new_page()
        self.session = self.context.new_cdp_session(self.page)
        self.agent = self.page.evaluate("navigator.userAgent")

    @contextlib.contextmanager
    def lent(self) -> Iterator[Page]:
        """The tab, its ``clock`` set to the time. At the end, what a test has changed is undone,
        except for what the fixtures ``emulate``, ``scriptless`` and ``init_script`` undo; and no
        page may have logged an error or broken the CSP.
        """
        if self.clock:
            self.context.clock.install()
        yield self.page
        for further in self.context.pages:
            if further != self.page:
                further.close()
        # A request that a test's route is still answering must not fail the test, or the next one.
        self.page.unroute_all(behavior="ignoreErrors")
        self.context.unroute_all(behavior="ignoreErrors")
        self.page.goto("about:blank")  # first, as what follows would draw the test's page again
        self.page.mouse.move(0, 0)
        self.page.emulate_media(color_scheme="light", forced_colors="null")
        self.page.set_viewport_size({"width": 1280, "height": 720})
        self.context.set_offline(False)
        self.context.clear_permissions()
        self.context.clear_cookies()
        stored = {"origin": "*", "storageTypes": "local_storage"}
        self.session.send("Storage.clearDataForOrigin", stored)
        found = self.complaints[:]
        self.complaints.clear()
        assert not found

    def emulate(self, locale: str, time_zone: str) -> None:
        """Only for a profile without a locale and time zone of its own."""
        language = {"userAgent": self.agent, "acceptLanguage": locale}
        self.session.send("Emulation.setUserAgentOverride", language)
        self.session.send("Emulation.setLocaleOverride", {"locale": locale})
        self.session.send("Emulation.setTimezoneOverride", {"timezoneId": time_zone})


@pytest.fixture(scope="session")
def lasting_tab(chromium: Browser) -> Iterator[Profile]:
    profile = Profile(chromium, clock=False, reduced_motion="reduce")
    profile.emulate(LOCALE, TIME_ZONE)
    yield profile
    close(profile.context)


@pytest.fixture
def tab(lasting_tab: Profile) -> Iterator[Page]:
    with lasting_tab.lent() as page:
        yield page


@pytest.fixture
def emulate(lasting_tab: Profile) -> Iterator[Callable[[str, str], None]]:
    """Gives the tab another locale and time zone."""
    yield lasting_tab.emulate
    lasting_tab.emulate(LOCALE, TIME_ZONE)


@pytest.fixture
def scriptless(tab: Page, lasting_tab: Profile) -> Iterator[Page]:
    """The tab without JavaScript."""
    lasting_tab.session.send("Emulation.setScriptExecutionDisabled", {"value": True})
    yield tab
    lasting_tab.session.send("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.fixture
def init_script() -> Iterator[Callable[[Page, str], None]]:
    """Has a page run a script before those of each document, until the test ends."""
    with contextlib.ExitStack() as stack:

        def add(page: Page, script: str) -> None:
            stack.enter_context(page.add_init_script(script))

        yield add


@pytest.fixture(scope="session")
def lasting_other_tab(chromium: Browser) -> Iterator[Profile]:
    profile = Profile(chromium, clock=True, **USUAL)
    yield profile
    close(profile.context)


@pytest.fixture
def other_tab(lasting_other_tab: Profile) -> Iterator[Page]:
    """A tab of another profile, whose clock can be set forward (``page.clock``)."""
    with lasting_other_tab.lent() as page:
        yield page


@contextlib.contextmanager
def listening(page: Page, event: str, listener: Callable[[Request], None]) -> Iterator[None]:
    page.on(event, listener)  # type: ignore[call-overload]  # which has one for each event
    try:
        yield
    finally:
        page.remove_listener(event, listener)


@pytest.fixture
def requested(other_tab: Page) -> Iterator[list[str]]:
    """Collects the addresses that the tab asks for."""
    found: list[str] = []
    with listening(other_tab, "request", lambda request: found.append(request.url)):
        yield found


def streams_of(requested: list[str]) -> list[str]:
    return [url for url in requested if "/stats/stream" in url]


def polls_of(requested: list[str]) -> list[str]:
    return [url for url in requested if url.endswith("/admin/stats")]


def looked_at(tab: Page, width: int, scheme: Scheme = "light") -> Page:
    """The tab in a window of that width, until the test ends."""
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)
    return tab


def drawn(page: Page) -> None:
    """Wait until a change of the window or its colours is drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


@pytest.fixture
def context(open_context: Callable[..., BrowserContext]) -> BrowserContext:
    return open_context()


@pytest.fixture
def page(tab: Page, service: Service) -> Page:
    """The dashboard, signed in and live."""
    sign_in(tab.context, service)
    open_dashboard(tab, service)
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


def open_dashboard(page: Page, service: Service, path: str = "/", *, mode: str = "live") -> None:
    page.goto(service.url + path)
    expect_mode(page, mode)


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
    """The page's ``data-name`` is ``value``, in time, also if the page is left for another.

    Not by expect() or wait_for_function(): these run 300 kB of Playwright's scripts in each page
    first.
    """
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            if page.evaluate(HAS_STATE, [name, value, left * 1000]):
                return
        except Error as error:  # the page was left
            if "context was destroyed" not in error.message:
                raise
    found = page.evaluate("(name) => document.documentElement.dataset[name]", name)
    assert found == value, f"data-{name} after {seconds} s"


def expect_all(page: Page) -> None:
    """The overview of a :class:`FakeSite`, which has no stream, has all that it asks for: it polls,
    and the annotations, for which it asks last, are there."""
    expect_mode(page, "polling")
    page.locator("#notes-none:not(:empty)").wait_for(state="attached")


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
