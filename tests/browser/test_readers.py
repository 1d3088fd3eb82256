"""The page for readers with other browsers, languages, colours and networks."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import TIME_ZONE, expect_all, expect_mode, expect_state
from tests.browser.fake_site import FakeSite, account, snapshot

pytestmark = pytest.mark.slow(30)

Emulate = Callable[[str, str], None]
InitScript = Callable[[Page, str], None]


def opened(page: Page, site: FakeSite, path: str = "/") -> Page:
    page.goto(site.url + path)
    return page


def test_a_stream_that_says_nothing_is_no_stream(tab: Page, site: FakeSite) -> None:
    site.silent_stream = True
    opened(tab, site)
    expect_mode(tab, "polling", seconds=10)
    site.snapshot = snapshot(version="7-2", duplicates=4321)
    expect(tab.locator("[data-figure='duplicates']")).to_have_text("4,321")
    expect(tab.locator("#sentence")).to_contain_text("No live stream")


def test_a_browser_that_reports_offline_still_polls(
    tab: Page, site: FakeSite, init_script: InitScript
) -> None:
    init_script(tab, "Object.defineProperty(Navigator.prototype, 'onLine', { get: () => false })")
    opened(tab, site)
    expect_mode(tab, "polling")


@pytest.mark.parametrize("locale", ["fa-IR", "ar-EG", "th-TH", "de-DE", "ja-JP"])
def test_one_language_and_one_calendar(
    tab: Page, site: FakeSite, emulate: Emulate, locale: str
) -> None:
    emulate(locale, TIME_ZONE)
    opened(tab, site)
    expect_all(tab)
    assert tab.evaluate("new Intl.NumberFormat().resolvedOptions().locale") == locale
    expect(tab.locator("[data-figure='month.name']")).to_have_text(re.compile("^[A-Z][a-z]{2} 2"))
    texts = [tab.locator("body").inner_text()]
    for path, last in (("/accounts", "#age"), ("/accounts/17841400000000001", "#notes-none")):
        tab.goto(site.url + path)
        expect(tab.locator(last)).not_to_be_empty()
        texts.append(tab.locator("body").inner_text())
    for text in texts:
        # Latin letters and English punctuation, a minus sign and arrows.
        assert not re.search("[^\u0000-\u024f\u2010-\u203a\u2190-\u2193\u2212]", text)


@pytest.mark.parametrize("language", ["en-US@posix", "C", ""])
def test_a_language_that_intl_refuses(
    tab: Page, site: FakeSite, init_script: InitScript, language: str
) -> None:
    """A browser's in the POSIX locale, as on a screen that a service drives."""
    init_script(
        tab,
        "Object.defineProperty(Navigator.prototype, 'language', { configurable: true, "
        f"get: () => {language!r} }})",
    )
    opened(tab, site)
    expect_mode(tab, "polling")
    expect(tab.locator(".u-wrap").first).to_be_visible()
    tab.goto(f"{site.url}/accounts/17841400000000001")
    expect(tab.locator(".u-wrap").first).to_be_visible()


@pytest.mark.parametrize(
    ("locale", "hours"), [("en-US", r"^since \d\d:\d\d [AP]M$"), ("de-DE", r"^since \d\d:\d\d$")]
)
def test_the_hours_are_those_of_the_reader(
    tab: Page, site: FakeSite, emulate: Emulate, locale: str, hours: str
) -> None:
    emulate(locale, "UTC")
    opened(tab, site)
    expect(tab.locator("[data-figure='today.since']")).to_have_text(re.compile(hours))


def test_a_browser_without_the_newest_methods(
    tab: Page, site: FakeSite, init_script: InitScript
) -> None:
    init_script(
        tab,
        """for (const name of ["toSorted", "toReversed", "toSpliced", "with", "findLast"]) {
             delete Array.prototype[name];
           }
           delete AbortSignal.timeout;
           delete AbortSignal.any;
           delete String.prototype.replaceAll;
           delete window.structuredClone;""",
    )
    opened(tab, site)
    expect_mode(tab, "polling")
    expect(tab.locator("#accounts-rows tr")).to_have_count(10)
    tab.get_by_role("button", name="Table").click()
    expect(tab.locator("#chart-rows tr")).to_have_count(60)
    tab.goto(f"{site.url}/accounts")
    expect(tab.locator("#rows tr")).to_have_count(12)


def test_a_notice_for_browsers_that_are_too_old(
    tab: Page, site: FakeSite, init_script: InitScript
) -> None:
    init_script(tab, "delete Object.hasOwn")
    opened(tab, site)
    expect(tab.get_by_text("This browser is too old for live updates.")).to_be_visible()


def test_forced_colours_keep_backgrounds_visible(tab: Page, site: FakeSite) -> None:
    tab.emulate_media(forced_colors="active")
    opened(tab, site)
    expect_mode(tab, "polling")
    seen = tab.evaluate(
        """() => {
            const style = (selector, pseudo) =>
                getComputedStyle(document.querySelector(selector), pseudo);
            const paint = (...what) => style(...what).backgroundColor;
            const bar = style(".limit .bar");
            return {
                bar: bar.borderTopWidth + bar.backgroundImage.slice(0, 6),
                dot: paint(".dot") !== paint("body"),
                chosen: paint("[data-theme-choice=system]") !== paint("[data-theme-choice=dark]"),
                key: paint(".key.sent", "::before") !== paint(".key.received", "::before"),
            };
        }"""
    )
    assert seen == {"bar": "1pxlinear", "dot": True, "chosen": True, "key": True}


def test_the_theme_is_chosen_and_kept_without_a_flash(tab: Page, site: FakeSite) -> None:
    page = opened(tab, site)
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    expect_mode(page, "polling")
    light = page.evaluate(paper)
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate(paper)
    assert dark != light
    # The server knows it: the page is dark before any script has run.
    page.route("**/*.js", lambda route: route.abort())
    page.goto(f"{site.url}/accounts")
    assert page.evaluate(paper) == dark
    expect(page.locator("meta[name=color-scheme]")).to_have_attribute("content", "dark")
    page.unroute("**/*.js")
    page.goto(site.url)
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    expect_all(page)
    assert violations(page) == []
    page.get_by_role("button", name="System").click()
    assert page.evaluate(paper) == light
    page.reload()
    assert page.evaluate(paper) == light


def test_a_theme_that_is_none_is_the_systems(tab: Page, site: FakeSite) -> None:
    tab.context.add_cookies([{"name": "dmstats-theme", "value": '"><b>', "url": site.url}])
    opened(tab, site)
    assert tab.locator("html").get_attribute("data-theme") is None


def test_terms_are_explained_and_stay_open(tab: Page, site: FakeSite) -> None:
    opened(tab, site)
    for term, words in (
        ("Duplicates dropped", "delivered more than once"),
        ("Arrived late", "more than 7 days after"),
        ("Rejected", "cannot read"),
        ("How this is checked", "called drift"),
        ("Postbacks", "Taps on a button"),
    ):
        tab.get_by_text(term, exact=True).click()
        expect(tab.get_by_text(words)).to_be_visible()
    site.snapshot = snapshot(version="7-9", events={"postback": 99, "seen": 3})
    expect(tab.locator("#others dd").first).to_have_text("99")
    expect(tab.get_by_text("Taps on a button")).to_be_visible()
    assert violations(tab) == []


def test_counters_that_differ_lead_to_what_to_do(tab: Page, site: FakeSite) -> None:
    site.snapshot["audit"]["drift"] = 12
    opened(tab, site)
    expect(tab.locator("#audit")).to_contain_text("differ from the ledger by 12")
    tab.get_by_text("What to do").click()
    expect(tab.locator("#drift-help code").last).to_contain_text("audit --repair")


def test_tiles_lead_to_what_is_behind_them(tab: Page, site: FakeSite) -> None:
    opened(tab, site)
    expect_mode(tab, "polling")
    tab.get_by_role("link", name="Today").click()
    expect(tab).to_have_url(re.compile(r"\?range=today$"))
    expect(tab.locator("#chart")).to_be_focused()
    tab.get_by_role("link", name=re.compile("^Accounts .$")).click()
    expect(tab).to_have_url(re.compile("/accounts$"))
    tab.locator("#rows tr").nth(2).locator("td").first.click(force=True)
    expect(tab).to_have_url(re.compile(r"/accounts/\d+$"))


def test_a_legend_entry_hides_its_line(tab: Page, site: FakeSite) -> None:
    opened(tab, site)
    expect_mode(tab, "polling")
    picture = "document.querySelector('#chart canvas').toDataURL()"
    before = tab.evaluate(picture)
    key = tab.locator(".key.sent")
    key.click()
    expect(key).to_have_attribute("aria-pressed", "false")
    tab.wait_for_timeout(100)
    assert tab.evaluate(picture) != before


def test_further_rows_stay_and_are_kept_fresh(other_tab: Page, site: FakeSite) -> None:
    site.accounts = [account(i, 5000 - i) for i in range(120)]
    page = other_tab
    page.goto(f"{site.url}/accounts")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#rows tr")).to_have_count(100)
    site.accounts[99]["dmUsed"] = 4999
    page.clock.fast_forward(31_000)
    expect(page.locator("#rows tr")).to_have_count(100)
    expect(page.locator("#rows tr").last).to_contain_text("4,999")


def test_a_second_click_reverses_the_order(tab: Page, site: FakeSite) -> None:
    opened(tab, site, "/accounts")
    head = tab.get_by_role("button", name="All time")
    head.click()
    expect(tab).to_have_url(re.compile(r"sort=dmUsed$"))
    head.click()
    expect(tab).to_have_url(re.compile(r"sort=-dmUsed$"))


def test_counters_stay_when_a_reload_fails_and_no_exception_is_named(
    other_tab: Page, site: FakeSite
) -> None:
    page = other_tab
    page.goto(f"{site.url}/accounts/17841400000000001")
    expect(page.locator("[data-figure='sent']")).to_have_text("899")
    site.failing = {"/api/admin/accounts": 503}
    # Not run_for(): the page's own time-outs would pass before the answers can come.
    page.clock.fast_forward(95_000)
    expect(page.locator("#problem")).to_have_text(
        "The database does not answer. Counting continues when it is back."
    )
    expect(page.locator("#counters")).to_be_visible()
    expect_state(page, "figures", "stale")


def test_a_running_bucket_never_looks_like_a_fall(tab: Page, site: FakeSite) -> None:
    opened(tab, site, "/?range=24h")
    expect_mode(tab, "polling")
    chart = tab.locator("#chart")
    chart.focus()
    chart.press("End")
    expect(tab.locator("#when")).to_contain_text("so far")
    ends = tab.evaluate(
        """() => {
            const canvas = document.querySelector("#chart canvas");
            const { width, height } = canvas;
            const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
            // Columns with ink of the area below the line, from the right.
            let last = 0;
            for (let x = 0; x < canvas.width; x += 1) {
                const i = (Math.round(canvas.height / 2) * canvas.width + x) * 4;
                if (pixels[i + 3] > 0 && pixels[i + 2] > pixels[i]) last = x;
            }
            return last / canvas.width;
        }"""
    )
    # The line ends at the last full hour, one of 24 before the edge.
    assert 0.85 < ends < 0.95


def test_a_new_message_replaces_the_old_one_and_long_addresses_keep_their_buttons(
    tab: Page, site: FakeSite
) -> None:
    long = f"{'a' * 64}@{'b' * 63}.{'c' * 63}.example.com"
    site.admins = {
        "admins": [
            {"id": "1", "email": "a@b.c", "disabled": False, "createdAt": None},
            {"id": "2", "email": long, "disabled": False, "createdAt": None},
        ],
        "you": "1",
    }
    opened(tab, site, "/admins")
    button = tab.get_by_role("button", name=f"Disable {long}")
    panel = tab.get_by_role("region", name="Everyone").bounding_box()
    box = button.bounding_box()
    assert panel
    assert box
    assert box["x"] + box["width"] <= panel["x"] + panel["width"]
    answers = [{"status": 201, "json": {}}, {"status": 409, "json": {"detail": "Already there."}}]
    tab.route(
        "**/api/admin/admins",
        lambda route: (
            route.fulfill(**answers.pop(0)) if route.request.method == "POST" else route.continue_()
        ),
    )
    form = tab.locator("#add")
    for _ in range(2):
        form.get_by_label("Email").fill("x@y.z")
        form.get_by_label("Password").fill("a long enough password 7")
        with tab.expect_response(lambda response: response.request.method == "POST"):
            form.get_by_role("button", name="Add").click()
        if answers:
            expect(tab.locator("#done")).to_have_text("x@y.z can sign in now.")
            expect(form.get_by_label("Email")).to_have_value("")
    expect(tab.get_by_role("alert")).to_have_text("Already there.")
    expect(tab.locator("#done")).to_be_empty()


@pytest.mark.parametrize("days", [-2, 40])
def test_a_reader_whose_clock_is_wrong(
    tab: Page, site: FakeSite, init_script: InitScript, days: int
) -> None:
    init_script(
        tab,
        f"""const Real = Date, ahead = {days} * 86_400_000;
           Date = class extends Real {{
             constructor(...given) {{ given.length ? super(...given) : super(Real.now() + ahead); }}
             static now() {{ return Real.now() + ahead; }}
           }};""",
    )
    site.accounts = [account(1, 900)]
    opened(tab, site, "/accounts")
    expect(tab.locator("#rows tr")).to_contain_text(re.compile(r"1m (\d+s )?ago"))
    opened(tab, site, "/accounts/17841400000000001")
    now = datetime.now(UTC)
    expect(tab.locator("body")).to_contain_text(
        "Too early to project this month"
        if (now.day, now.hour) == (1, 0)
        else "a day on average. Projected for the month"
    )


def test_the_sign_in_of_a_proxy_in_front_has_ended(tab: Page, site: FakeSite) -> None:
    away = {"Location": "https://login.example.com/"}
    tab.route("**/api/**", lambda route: route.fulfill(status=302, headers=away))
    tab.route("**/stats/stream*", lambda route: route.fulfill(status=503))
    opened(tab, site)
    expect_mode(tab, "expired")
    expect(tab.locator("#sign-in")).to_be_visible()
    opened(tab, site, "/accounts")
    expect(tab.locator("#problem")).to_contain_text("Your session has ended. Sign in again")
