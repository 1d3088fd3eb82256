"""The chart: its range, its values by mouse and keyboard, the table behind it."""

from __future__ import annotations

import re

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.service import Service


def test_it_works(page: Page) -> None:
    expect(page.locator("#when")).to_have_text("Last hour")
    expect(page.locator("#read-sent")).to_have_text(re.compile(r"^[\d,]+$"))


def test_the_range_stays_in_the_address(
    page: Page, context: BrowserContext, service: Service
) -> None:
    page.get_by_role("button", name="Month", exact=True).click()
    expect(page).to_have_url(re.compile(r"\?range=month$"))
    again = context.new_page()
    again.goto(page.url)
    expect(again.get_by_role("button", name="Month", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(again.locator("#when")).to_have_text("Last 30 days")


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
    page.get_by_role("button", name="Day", exact=True).click()
    expect(rows).to_have_count(24)
    expect(rows.first.locator("time")).to_have_attribute("title", re.compile(r" UTC$"))
    page.get_by_role("button", name="Table").click()
    expect(rows.first).to_be_hidden()
