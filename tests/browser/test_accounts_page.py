"""The pages of the accounts: search, order, page on, export, one account."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from dmstats.core.clock import DAY_MS, to_ms
from dmstats.db.annotations import Annotation
from tests.browser.axe import violations
from tests.browser.conftest import expect_state, looked_at, sign_in, skip_until
from tests.browser.fake_site import FakeSite
from tests.browser.service import Service

pytestmark = pytest.mark.slow(30)

SECOND, THIRD = "17841400000000022", "17841400000000333"


@pytest.fixture
def accounts(tab: Page, service: Service) -> Page:
    """The page of all accounts, with three of them."""
    service.send(2, 1, account=SECOND)
    service.send(1, account=THIRD)
    sign_in(tab.context, service)
    tab.goto(f"{service.url}/accounts")
    expect(tab.locator("#rows tr")).to_have_count(3)
    return tab


def test_it_works(accounts: Page) -> None:
    expect(accounts.locator("#count")).to_have_text("3 in total")
    expect(accounts.locator("th[aria-sort='descending']")).to_have_text("All time")
    expect(accounts.get_by_role("link", name="Accounts")).to_have_attribute("aria-current", "page")


def test_searching_by_the_beginning_of_an_id(accounts: Page) -> None:
    accounts.get_by_label("Search by name or id").fill(SECOND[:-1])
    expect(accounts.locator("#rows tr")).to_have_count(1)
    expect(accounts).to_have_url(re.compile(r"\?query=\d+$"))
    accounts.reload()
    expect(accounts.locator("#rows tr")).to_have_count(1)
    accounts.get_by_label("Search by name or id").fill("no such account")
    expect(
        accounts.get_by_text("No account name contains this, and no id starts with it.")
    ).to_be_visible()


def test_what_is_shown_can_be_had_as_csv(accounts: Page, tmp_path: Path) -> None:
    with accounts.expect_download() as download:
        accounts.get_by_role("link", name="CSV").click()
    assert re.fullmatch(r"dmstats-accounts-\d{4}-\d\d-\d\d\.csv", download.value.suggested_filename)
    download.value.save_as(tmp_path / "accounts.csv")
    assert (tmp_path / "accounts.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with (tmp_path / "accounts.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert {f'="{SECOND}"', f'="{THIRD}"'} < {row["instagramId"] for row in rows}


def test_lists_by_filter_and_order(tab: Page, site: FakeSite) -> None:
    """At the width of a phone, with the keyboard."""
    site.snapshot["accountStates"] = {
        "at": site.snapshot["computedAt"],
        "counts": {"near-limit": 12, "over-hour-limit": 3, "silent": 1, "new": 0},
    }  # fmt: skip
    page = looked_at(tab, 390)
    page.goto(site.url)
    counts = page.locator("#account-states a")
    expect(counts).to_have_text(
        ["12 near their monthly limit", "3 over their hourly limit", "1 silent"]
    )
    counts.first.click()
    expect(page).to_have_url(re.compile(r"/accounts\?sort=-limitUsed&state=near-limit$"))
    expect(page.get_by_label("State", exact=True)).to_have_value("near-limit")
    expect(page.locator("#totals")).to_have_text(
        re.compile(r"^12 accounts: 1,234 sent this month, .* in total, as of \d+s ago$")
    )
    expect(page.locator("#rows .mark").first).to_have_text("Near monthly limit")
    assert site.asked[-1] == {"sort": "-limitUsed", "state": "near-limit", "limit": "50"}
    # The column that it is sorted by is there, and those that do not fit are not.
    shown = {"Limit": True, "This month": True, "All time": False, "Received": False}
    for name, is_shown in shown.items():
        column = page.get_by_role("columnheader", name=name)
        expect(column).to_be_visible() if is_shown else expect(column).to_be_hidden()
    page.get_by_label("Sort by").select_option("Received, most first")
    expect(page.get_by_role("columnheader", name="Received")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Limit")).to_be_hidden()
    page.get_by_label("Monthly limit").select_option("With a limit")
    expect(page).to_have_url(re.compile("hasLimit=true"))
    page.locator("h1").click()
    page.keyboard.press("/")
    expect(page.get_by_label("Search by name or id")).to_be_focused()
    page.keyboard.type("a/b")
    expect(page).to_have_url(re.compile("query=a%2Fb"))
    export = page.get_by_role("link", name="CSV").get_attribute("href") or ""
    assert export == (
        "/api/admin/accounts/export?query=a%2Fb&state=near-limit&hasLimit=true&format=csv"
    )
    assert violations(page) == []
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(page.get_by_role("columnheader", name="Last sent")).to_be_visible()
    page.get_by_role("button", name="Last sent").press("Enter")
    expect(page).to_have_url(re.compile("sort=-lastDMSent"))
    assert violations(page) == []


def test_an_accounts_states_in_words(tab: Page, site: FakeSite) -> None:
    states = ["over-limit", "near-hour-limit", "silent", "surging", "inactive-sending",
              "needs-attention", "new"]  # fmt: skip
    site.accounts[0]["states"] = states
    site.accounts[0]["hourlyUse"] = {
        "at": "2026-11-15T15:00:00Z", "sent": 171, "before": 90, "limit": 200,
        "limitReachedAt": None,
    }  # fmt: skip
    tab.goto(f"{site.url}/accounts/{site.accounts[0]['instagramId']}")
    expect(tab.locator("#states li")).to_have_count(len(states))
    expect(tab.locator("#states li").nth(1)).to_contain_text(
        re.compile("Near hourly limit: 90 sent from .*, 171 since; the limit is 200 an hour.")
    )
    expect(tab.locator("#states li").nth(2)).to_contain_text("Silent: nothing sent for")
    assert violations(tab) == []


def test_states_that_are_not_known_yet(tab: Page, site: FakeSite) -> None:
    site.failing["api/admin/accounts"] = 503
    tab.goto(f"{site.url}/accounts?state=silent")
    expect(tab.get_by_role("alert")).to_contain_text("states are not known yet")
    tab.get_by_label("State", exact=True).select_option("Any")
    expect(tab.get_by_role("alert")).not_to_contain_text("states are not known yet")


def test_one_account(accounts: Page) -> None:
    accounts.get_by_role("link", name=SECOND).click()
    expect(accounts.get_by_role("heading", level=1)).to_have_text(SECOND)
    expect(accounts.locator("#about")).to_contain_text("active")
    sent = accounts.locator("[data-figure='sent']")
    expect(sent).to_have_text(re.compile(r"^\d+$"))
    expect(accounts.locator("[data-figure='limit']")).to_have_text("No monthly limit")
    expect(accounts.locator("[data-figure='last-sent']")).to_have_attribute(
        "title", re.compile(r" UTC$")
    )


def test_an_account_that_is_not_there(accounts: Page, service: Service) -> None:
    accounts.goto(f"{service.url}/accounts/404")
    expect(accounts.get_by_role("alert")).to_contain_text("no account with this Instagram id")
    expect(accounts.locator("#counters")).to_be_hidden()


def test_a_session_that_ended(accounts: Page) -> None:
    accounts.context.clear_cookies()
    accounts.get_by_label("Search by name or id").fill("x")
    alert = accounts.get_by_role("alert")
    expect(alert).to_contain_text("Your session has ended.")
    expect(alert.get_by_role("link", name="Sign in again")).to_have_attribute(
        "href", re.compile(r"^/login\?next=%2Faccounts")
    )


def expect_figures(page: Page, state: str) -> None:
    expect_state(page, "figures", state, seconds=2)


def test_an_account_that_is_not_answered_for_looks_stale(other_tab: Page, service: Service) -> None:
    page = other_tab
    sign_in(page.context, service)
    page.goto(f"{service.url}/accounts/17841400000000001")
    expect(page.locator("#age")).to_have_text(re.compile(r"Updated \d+s ago"))
    page.route("**/api/admin/accounts/*", lambda route: route.abort())
    page.clock.fast_forward(80_000)
    expect_state(page, "figures", "stale")
    expect(page.locator("#age")).to_have_text(re.compile(r"Updated 1m \d+s ago"))
    expect(page.locator("#problem")).to_contain_text("does not answer")
    page.unroute("**/api/admin/accounts/*")
    skip_until(page, lambda: expect_figures(page, "fresh"), step=31)


ACCOUNT = "/accounts/17841400000000001"


@pytest.fixture
def lately(tab: Page, counted: Service) -> Page:
    """The page of an account with its hours."""
    sign_in(tab.context, counted)
    tab.goto(counted.url + ACCOUNT)
    expect(tab.locator("#lately")).to_be_visible()
    return tab


def test_an_accounts_hours_and_days(lately: Page) -> None:
    expect(lately.locator("#as-of")).to_have_text(re.compile(r"last check of the ledger, \d+\D"))
    expect(lately.locator("#uncounted")).to_be_hidden()
    expect(lately.locator("#when")).to_have_text("Last 24 hours")
    expect(lately.locator("#read-sent")).to_have_text(re.compile(r"^\d+$"))
    day = int(lately.locator("#read-sent").inner_text())
    assert day >= 37
    chart = lately.locator("#chart")
    chart.focus()
    chart.press("End")
    expect(lately.locator("#when")).to_contain_text("so far")
    chart.press("Home")
    # Counting began with this test: what was before is no zero.
    expect(lately.locator("#read-sent")).to_have_text("no data")
    chart.press("Escape")
    lately.get_by_label("Range").select_option("Last 7 days")
    expect(lately).to_have_url(re.compile(r"\?range=7d$"))
    expect(lately.locator("#when")).to_have_text("Last 7 days")
    assert int(lately.locator("#read-sent").inner_text()) >= day
    lately.reload()
    expect(lately.locator("#when")).to_have_text("Last 7 days")


def test_an_accounts_ranges_and_comparison(tab: Page, site: FakeSite) -> None:
    tab.goto(f"{site.url}{ACCOUNT}?range=12m&compare=previous")
    expect(tab.locator("#when")).to_have_text("Last 12 months")
    expect(tab.locator("#compared")).to_contain_text("nothing was counted in")
    tab.keyboard.press("3")
    expect(tab.locator("#when")).to_have_text("Last 30 days")
    expect(tab.locator("#compared")).to_have_text(
        re.compile(r"^Compared with .*: [\d,]+ (more|fewer) sent")
    )
    tab.keyboard.press("h")  # no minutes are known of an account
    tab.get_by_label("Unit").select_option("By week")
    tab.get_by_role("button", name="Table").click()
    expect(tab.locator("#chart-rows time").first).to_have_text(re.compile("^Week of"))
    assert tab.get_by_label("Range").input_value() == "30d"
    tab.get_by_label("Range").select_option("custom")
    tab.locator("#from").fill("2020-01-01")
    tab.locator("#to").fill("2020-01-02")
    tab.get_by_label("Unit").select_option("By hour")
    expect(tab.locator("[aria-busy=true]")).to_have_count(0)
    assert violations(tab) == []


def test_what_was_usual_for_an_account_and_what_happened(tab: Page, site: FakeSite) -> None:
    now = to_ms(datetime.fromisoformat(site.activity["at"]))  # the end of the account's ranges
    site.annotations = [
        Annotation("1", "note", now - 3 * DAY_MS, "Launch in Spain", "bob@example.com"),
        Annotation("2", "version", now - 90 * DAY_MS, "dmstats 1.0 was started."),
    ]
    tab.goto(f"{site.url}{ACCOUNT}?compare=expected")
    expect(tab.locator("#compared")).to_have_text(
        "The expected range of an account is only available by day."
    )
    tab.get_by_label("Range").select_option("30d")
    expect(tab.locator("#compared")).to_have_text(
        re.compile(r"^Expected range, from the same weekday .*: \d+ of 29 points are outside\.$")
    )
    expect(tab.locator("#notes-count")).to_have_text(" (1)")
    chart = tab.locator("#chart")
    chart.press("End")
    for _ in range(3):
        chart.press("ArrowLeft")
    expect(chart).to_have_attribute(
        "aria-valuetext", re.compile(r"Expected: \d+ to \d+.* received.*Launch in Spain")
    )
    tab.get_by_role("button", name="Table").click()
    expect(tab.locator("#chart-rows tr").nth(3)).to_contain_text("Launch in Spain")
    tab.locator("#notes-summary").press("Enter")
    tab.get_by_role("button", name="Add a note").press("Enter")
    tab.keyboard.type("Sale")
    tab.keyboard.press("Enter")
    expect(tab.locator("#notes-rows li")).to_have_count(2)
    assert violations(tab) == []
    link = tab.get_by_role("link", name="CSV")
    expect(link).to_have_attribute("href", re.compile("range=30d&band=true.*annotations=true"))


INK = r"""() => {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = "var(--sent)";
  const wanted = getComputedStyle(probe).color.match(/\d+/g).slice(0, 3).map(Number);
  probe.remove();
  const canvas = document.querySelector("#chart canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let ink = 0;
  // The edge of a small point is blended with the background.
  for (let i = 0; i < data.length; i += 4)
    ink += wanted.every((value, channel) => Math.abs(value - data[i + channel]) < 48);
  return ink;
}"""


def test_an_accounts_first_hour_is_seen(lately: Page) -> None:
    # One hour among hours without data: a line through one point has no length.
    expect(lately.locator("#chart canvas")).to_be_visible()
    assert lately.evaluate(INK) > 10


def test_an_accounts_hours_as_a_table(lately: Page) -> None:
    lately.get_by_role("button", name="Table").click()
    rows = lately.locator("#chart-rows tr")
    expect(rows).to_have_count(24)
    expect(rows.last).to_contain_text("no data")
    lately.get_by_role("button", name="Table").click()
    expect(rows.last).to_be_hidden()


def test_an_accounts_use_of_an_hour(lately: Page) -> None:
    hourly = lately.locator("[data-figure='hourly']")
    expect(hourly).to_have_text(re.compile(r"^\d+$"))
    expect(lately.locator("[data-figure='hour-limit']")).to_have_text(re.compile(r"^\d+% of 200$"))
    expect(lately.locator("[data-figure='hour-pace']")).to_contain_text("so far this hour")
    expect(lately.locator("#hour-gauge")).to_be_visible()


def test_an_accounts_hours_that_are_not_checked_any_more_look_stale(
    other_tab: Page, counted: Service
) -> None:
    page = other_tab
    sign_in(page.context, counted)
    page.goto(counted.url + ACCOUNT)
    lately, hour = page.locator("#lately"), page.locator("#hour")
    expect(lately).to_have_attribute("data-figures", "fresh")
    # The page goes by the server's time, so its clock has to go forward as well.
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=7_261), usegmt=True)

    def answer(route: Route) -> None:
        found = route.fetch()
        route.fulfill(response=found, headers={**found.headers, "date": later})

    page.route("**/api/**", answer)
    page.clock.fast_forward(7_200_000)
    page.clock.fast_forward(61_000)
    for part in (lately, hour):
        expect(part).to_have_attribute("data-figures", "stale")
    expect(page.locator("#as-of")).to_have_text(
        re.compile(
            r"2h \d+m ago; the next check is "
            "overdue"
        )
    )
    # The counters themselves were loaded a moment ago.
    expect_state(page, "figures", "fresh")
    colours = "(name) => getComputedStyle(document.querySelector(`[data-figure=${name}]`)).color"
    quiet = page.locator("[data-figure='limit']").evaluate("(e) => getComputedStyle(e).color")
    assert page.evaluate(colours, "hourly") == quiet
    assert page.evaluate(colours, "monthly") != quiet


def test_the_accounts_say_how_old_they_are(other_tab: Page, service: Service) -> None:
    page = other_tab
    sign_in(page.context, service)
    page.goto(f"{service.url}/accounts")
    age = page.locator("#age")
    expect(age).to_have_text(re.compile(r"Updated \d+s ago"))
    page.route("**/api/admin/accounts?*", lambda route: route.abort())
    page.clock.fast_forward(80_000)
    expect_state(page, "figures", "stale")
    expect(age).to_have_text(re.compile(r"Updated 1m \d+s ago"))
    page.unroute("**/api/admin/accounts?*")
    skip_until(page, lambda: expect_figures(page, "fresh"), step=31)
