"""The chart: its range and comparison, its values by mouse and keyboard, the table behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from dmstats.core.clock import HOUR_MS, to_ms
from dmstats.db.admins.roles import Role
from dmstats.db.annotations import Annotation
from dmstats.history.calendar import UNITS
from dmstats.history.comparison import KINDS
from dmstats.history.ranges import RANGES
from tests.browser.axe import violations
from tests.browser.conftest import expect_all, sent_in_all
from tests.browser.fake_site import FakeHours, FakeSite, snapshot
from tests.browser.service import Service
from tests.browser.test_budget import main_thread_tasks_ms

pytestmark = pytest.mark.slow(30)


def test_it_works(page: Page) -> None:
    expect(page.locator("#when")).to_have_text("Last hour")
    expect(page.locator("#read-sent")).to_have_text(re.compile(r"^[\d,]+$"))


def test_the_view_stays_in_the_address(page: Page) -> None:
    page.get_by_label("Range").select_option("Last 30 days")
    expect(page).to_have_url(re.compile(r"\?range=30d$"))
    expect(page.locator("#when")).to_have_text("Last 30 days")
    page.get_by_label("Unit").select_option("By week")
    page.get_by_label("Comparison").select_option("Previous year")
    expect(page).to_have_url(re.compile(r"\?range=30d&unit=week&compare=year$"))
    page.reload()
    expect(page.get_by_label("Range")).to_have_value("30d")
    expect(page.get_by_label("Unit")).to_have_value("week")
    expect(page.get_by_label("Comparison")).to_have_value("year")
    expect(page.locator("#compared")).to_contain_text("No comparison")
    page.get_by_role("button", name="Table").click()
    expect(page.locator("#chart-rows time").first).to_have_text(re.compile("^Week of .*, so far"))


def test_a_range_counts_what_was_sent(page: Page, service: Service) -> None:
    before = sent_in_all(page, service)
    page.get_by_label("Range").select_option("All time")
    expect(page.locator("#when")).to_have_text("All time")
    expect(page.locator("#read-sent")).to_have_text(f"{before:,}")
    service.send(3, 0)
    service.publish()
    expect(page.locator("[data-figure='total.sent']")).to_have_text(f"{before + 3:,}")


def test_the_chart_is_read_with_the_mouse(page: Page) -> None:
    when = page.locator("#when")
    expect(when).to_have_text("Last hour")
    page.hover("#chart", position={"x": 400, "y": 100})
    expect(when).to_have_text(re.compile(r"^\d\d:\d\d$"))
    expect(when).to_have_attribute("title", re.compile(r" UTC$"))
    page.mouse.move(0, 0)
    expect(when).to_have_text("Last hour")


def test_the_chart_is_read_with_the_keyboard(page: Page) -> None:
    chart = page.locator("#chart")
    chart.focus()
    page.keyboard.press("End")
    expect(chart).to_have_attribute("aria-valuenow", "59")
    expect(chart).to_have_attribute("aria-valuetext", re.compile(r"so far: [\d,]+ sent"))
    page.keyboard.press("ArrowLeft")
    expect(chart).to_have_attribute("aria-valuenow", "58")
    page.keyboard.press("Home")
    expect(chart).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("Escape")
    expect(page.locator("#when")).to_have_text("Last hour")


def test_the_table_behind_the_chart_is_one_press_away(page: Page) -> None:
    page.get_by_role("button", name="Table").click()
    rows = page.locator("#chart-rows tr")
    expect(rows).to_have_count(60)
    page.get_by_label("Range").select_option("Last 24 hours")
    expect(rows).to_have_count(24)
    expect(rows.first.locator("time")).to_have_attribute("title", re.compile(r" UTC$"))
    page.get_by_role("button", name="Table").click()
    expect(rows.first).to_be_hidden()


def opened(page: Page, site: FakeSite, path: str = "/") -> None:
    page.goto(site.url + path)
    expect_all(page)


def test_the_page_offers_what_the_api_has(tab: Page, site: FakeSite) -> None:
    opened(tab, site)

    def offered(name: str) -> set[str]:
        found = (
            tab.get_by_label(name).locator("option").evaluate_all("all => all.map(o => o.value)")
        )
        return set(found)

    assert offered("Range") == {*RANGES, "custom"}
    assert offered("Unit") == {*UNITS, ""}
    assert offered("Comparison") == {*KINDS, "expected"}


def test_keys_choose_ranges_until_they_are_switched_off(tab: Page, site: FakeSite) -> None:
    opened(tab, site)
    when = tab.locator("#when")
    for key, title in (("w", "Last 7 days"), ("Y", "Last 12 months"), ("2", "Last 24 hours")):
        tab.keyboard.press(key)
        expect(when).to_have_text(title)
    tab.keyboard.press("x")
    expect(tab.get_by_label("Comparison")).to_have_value("previous")
    tab.keyboard.press("Control+y")
    tab.keyboard.press("c")
    expect(tab.get_by_label("From")).to_be_focused()
    tab.keyboard.press("d")
    expect(when).to_have_text("Last 24 hours")
    tab.get_by_text("Keys", exact=True).click()
    tab.get_by_label("Use these keys").uncheck()
    tab.reload()
    expect(tab.locator("#keys")).not_to_be_checked()
    tab.locator("#chart").press("m")
    expect(when).to_have_text("Last 24 hours")


def test_from_a_date_to_a_date(tab: Page, site: FakeSite) -> None:
    opened(tab, site)
    tab.get_by_label("Range").select_option("custom")
    tab.get_by_label("From").fill("2026-03-02")
    tab.get_by_label("to", exact=True).fill("2026-03-01")
    tab.get_by_role("button", name="Show").click()
    expect(tab.locator("#when")).to_have_text("Last hour")
    tab.get_by_label("to", exact=True).fill("2026-03-04")
    tab.get_by_role("button", name="Show").click()
    expect(tab.locator("#when")).to_have_text("Mar 2, 2026 to Mar 4, 2026")
    expect(tab).to_have_url(re.compile(r"\?from=2026-03-02&to=2026-03-04$"))
    tab.get_by_label("Range").select_option("Today")
    expect(tab.locator("#dates")).to_be_hidden()


def test_a_unit_that_has_too_many_points_is_left(tab: Page, site: FakeSite) -> None:
    opened(tab, site, "/?range=7d&unit=hour")
    expect(tab.locator("#when")).to_have_text("Last 7 days")
    expect(tab.get_by_label("Unit").locator("option[value=minute]")).to_be_disabled()
    tab.get_by_label("Range").select_option("Last 12 months")
    expect(tab.locator("#when")).to_have_text("Last 12 months")
    expect(tab.get_by_label("Unit")).to_have_value("")


def test_a_comparison_is_in_the_chart_the_words_and_the_table(tab: Page, site: FakeSite) -> None:
    opened(tab, site, "/?range=7d&compare=weekdays")
    expect(tab.locator("#compared")).to_have_text(
        re.compile(r"^Compared with .*, up to the same time: [\d,]+ (more|fewer) sent")
    )
    chart = tab.locator("#chart")
    chart.press("Home")
    expect(chart).to_have_attribute(
        "aria-valuetext",
        re.compile(r" received\. [A-Z][a-z]{2}, .*: [\d,]+ sent, [\d,]+ received$"),
    )
    tab.get_by_role("button", name="Table").click()
    expect(tab.locator("#chart-table thead th")).to_have_count(8)
    first = tab.locator("#chart-rows tr").last.locator("td")
    now, _, _, before, _, difference, _ = (_number(text) for text in first.all_inner_texts())
    assert now - before == difference
    tab.get_by_label("Comparison").select_option("No comparison")
    expect(tab.locator("#chart-table thead th")).to_have_count(3)


def test_what_was_expected_is_in_the_chart_the_words_and_the_table(
    tab: Page, site: FakeSite
) -> None:
    site.hours = OddHour(site.hours)
    opened(tab, site, "/?range=24h&compare=expected")
    expect(tab.locator("#compared")).to_have_text(
        "Expected range, from the same weekday and hour of the 8 weeks before: "
        "1 of 23 points are outside."
    )
    chart = tab.locator("#chart")
    chart.press("End")
    # Never for the hour that is still filling.
    expect(chart).not_to_have_attribute("aria-valuetext", re.compile("Expected"))
    for _ in range(3):
        chart.press("ArrowLeft")
    expect(chart).to_have_attribute(
        "aria-valuetext",
        re.compile(r"Expected: [\d,]+ to [\d,]+ \(it is above\) sent, [\d,]+ to [\d,]+ \("),
    )
    tab.get_by_role("button", name="Table").click()
    expect(tab.locator("#chart-table thead th").last).to_have_text("Remarks")
    expect(tab.locator("#chart-rows tr").nth(3)).to_contain_text("(it is above)")
    assert violations(tab) == []
    tab.get_by_label("Unit").select_option("By day")
    expect(tab.locator("#compared")).to_contain_text("No expected range")


class OddHour(FakeHours):
    """As ``hours``, but one hour had ten times as many."""

    def __init__(self, hours: FakeHours) -> None:
        super().__init__(hours.per_hour, hours.since)
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        self.odd = to_ms(now - timedelta(hours=3))

    def _wave(self, at: int, length: int) -> tuple[int, int]:
        sent, received = super()._wave(at, length)
        return (sent * 10, received * 10) if at == self.odd else (sent, received)


def test_notes_are_on_the_chart_and_written_below_it(tab: Page, site: FakeSite) -> None:
    hour = to_ms(datetime.now(UTC).replace(minute=0, second=0, microsecond=0))
    site.annotations = [
        Annotation("1-drift", "incident", hour - HOUR_MS, "Deliveries fail: since 5 minutes."),
        Annotation("2", "version", hour - 2 * HOUR_MS, "dmstats 1.0 was started."),
        Annotation("3", "note", hour - 90 * HOUR_MS, "Before the range", "bob@example.com"),
    ]
    opened(tab, site, "/?range=24h")
    chart = tab.locator("#chart")
    expect(tab.locator("#notes-count")).to_have_text(" (2)")
    chart.press("End")
    chart.press("ArrowLeft")
    expect(chart).to_have_attribute("aria-valuetext", re.compile("Deliveries fail: since 5"))
    expect(tab.locator("#read-pace")).to_contain_text("Deliveries fail: since 5 minutes")
    tab.locator("#notes-summary").press("Enter")
    rows = tab.locator("#notes-rows li")
    expect(rows).to_have_count(2)
    link = rows.first.get_by_role("link", name="Deliveries fail")
    expect(link).to_have_attribute("href", "/incidents/1-drift")
    tab.get_by_role("button", name="Add a note").press("Enter")
    expect(tab.get_by_role("textbox", name="What")).to_be_focused()
    tab.keyboard.type("Launch in Spain")
    tab.keyboard.press("Enter")
    expect(rows).to_have_count(3)
    expect(tab.locator("#notes-summary")).to_be_focused()
    expect(rows.first).to_contain_text("Launch in Spain by ada@example.com")
    assert violations(tab) == []
    tab.get_by_role("button", name="Change Launch in Spain").press("Enter")
    tab.get_by_role("textbox", name="What").fill("Launch in Peru")
    tab.keyboard.press("Enter")
    expect(rows.first).to_contain_text("Launch in Peru")
    tab.get_by_role("button", name="Table").click()
    expect(tab.locator("#chart-rows tr").first).to_contain_text("Launch in Peru")
    tab.get_by_role("button", name="Delete Launch in Peru").click()
    expect(rows).to_have_count(2)
    site.role = Role.VIEWER
    tab.reload()
    expect(tab.locator("#notes-count")).to_have_text(" (2)")
    expect(tab.locator("#note-add")).to_have_count(0)


def test_busy_hours_by_weekday(tab: Page, site: FakeSite) -> None:
    opened(tab, site, "/?range=12m")
    expect(tab.locator("#when")).to_have_text("Last 12 months")
    tab.get_by_role("button", name="Hours").click()
    rows = tab.locator("#heat-rows tr")
    expect(rows).to_have_count(7)
    expect(rows.first.locator("th")).to_have_text("Mon")
    expect(rows.first.locator("td")).to_have_count(24)
    about = tab.locator("#heat-about")
    expect(about).to_have_text(re.compile(r"^Messages an hour on average, .* to .*, UTC$"))
    # The waves are highest at 13:00 and lowest at midnight.
    shares = (
        rows.nth(2)
        .locator(".square")
        .evaluate_all("all => all.map(each => Number(each.style.getPropertyValue('--share')))")
    )
    assert shares[13] > shares[0] > 0
    before = about.inner_text()
    tab.get_by_label("Range").select_option("Last 7 days")
    expect(about).not_to_have_text(before)
    assert violations(tab) == []


def _number(text: str) -> int:
    digits = text.replace(",", "").replace("+", "").replace("\u2212", "-")
    return int(digits) if digits.lstrip("-").isdigit() else -1


@pytest.mark.parametrize("kind", ["CSV", "JSON"])
def test_what_is_seen_is_saved(tab: Page, site: FakeSite, kind: str) -> None:
    opened(tab, site, "/?from=2026-03-02&to=2026-03-04&unit=day&compare=previous")
    expect(tab.locator("#when")).to_have_text("Mar 2, 2026 to Mar 4, 2026")
    with tab.expect_download() as saved:
        tab.get_by_role("link", name=kind).click()
    assert saved.value.suggested_filename == (
        f"dmstats-2026-03-02-to-2026-03-04-by-day-vs-previous.{kind.lower()}"
    )
    body = Path(saved.value.path()).read_bytes()
    if kind == "CSV":
        assert body.startswith(b"\xef\xbb\xbfat,local,sent,")
        assert len(body.splitlines()) == 4
    else:
        assert len(json.loads(body)["points"]) == 3


def test_an_unreachable_database_is_reported_and_retried(tab: Page, site: FakeSite) -> None:
    opened(tab, site)
    site.failing["history"] = 503
    tab.get_by_label("Range").select_option("Last 7 days")
    problem = tab.locator("#chart-problem")
    expect(problem).to_have_text(
        "The database does not answer. Counting continues when it is back."
    )
    site.failing.clear()
    site.snapshot = snapshot(version="7-2")
    expect(tab.locator("#when")).to_have_text("Last 7 days")
    expect(problem).to_be_hidden()


LONG_TASK_MS = 50


def test_no_range_keeps_the_page_from_answering(
    context: BrowserContext,
    chromium: Browser,
    site: FakeSite,
    record_property: Callable[[str, object], None],
) -> None:
    """The main thread's own time: the clock would count what else the machine does."""
    page = context.new_page()
    opened(page, site, "/?range=7d&compare=previous")
    page.get_by_role("button", name="Table").click()
    expect(page.locator("#chart-rows tr")).to_have_count(7)
    chromium.start_tracing(page=page, categories=["toplevel"])
    for key, title in (("w", "Last 7 days"), ("3", "Last 30 days"), ("y", "Last 12 months")):
        page.keyboard.press(key)
        expect(page.locator("#when")).to_have_text(title)
    page.keyboard.press("3")
    page.get_by_label("Unit").select_option("By hour")
    expect(page.locator("#chart-rows tr")).to_have_count(101)
    tasks = main_thread_tasks_ms(chromium.stop_tracing())
    record_property("longest task of a change of range, ms", max(tasks))
    assert 0 < max(tasks) < LONG_TASK_MS
    page.get_by_role("button", name=re.compile(r"^Show 100 of [56]\d\d more$")).click()
    expect(page.locator("#chart-rows tr")).to_have_count(201)
