"""What holds on every page: readable by everybody, in light and dark, on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.axe import violations
from tests.browser.conftest import drawn, expect_mode, go_offline, sign_in
from tests.browser.service import Service

DESK: ViewportSize = {"width": 1280, "height": 720}
PHONE: ViewportSize = {"width": 320, "height": 640}
ACCOUNT = "/accounts/17841400000000001"
OTHER_PAGES = [
    "/accounts", ACCOUNT, "/accounts/404", "/incidents", "/alerts", "/deliveries", "/lost",
    "/admins", "/me", "/activity-log", "/tokens", "/links",
]  # fmt: skip


def expect_accessible(page: Page) -> None:
    """In light and in dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(
            "(name) => matchMedia(`(prefers-color-scheme: ${name})`).matches", scheme
        )
        assert violations(page) == [], scheme


def expect_one_direction(page: Page) -> None:
    """On a phone, the page scrolls up and down only."""
    page.set_viewport_size(PHONE)
    drawn(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_dashboard(page: Page, service: Service) -> None:
    expect_one_direction(page)
    page.set_viewport_size(DESK)
    page.goto(f"{service.url}/?range=7d&compare=previous")
    expect_mode(page, "live")
    expect(page.locator("#compared")).to_contain_text("No comparison")
    page.get_by_role("button", name="Table").click()
    page.get_by_label("Range").select_option("custom")
    page.get_by_text("Keys", exact=True).click()
    expect_accessible(page)
    go_offline(page)
    expect_mode(page, "offline")
    page.evaluate("document.documentElement.dataset.figures = 'stale'")
    expect_accessible(page)


def test_the_sign_in(tab: Page, service: Service) -> None:
    tab.goto(f"{service.url}/login")
    expect_accessible(tab)
    expect_one_direction(tab)
    tab.set_viewport_size(DESK)
    tab.get_by_label("Email").fill("unknown@example.com")
    tab.get_by_label("Password").fill("wrong password")
    tab.get_by_role("button", name="Sign in").click()
    expect(tab.get_by_role("alert")).to_be_visible()
    expect_accessible(tab)


@pytest.mark.parametrize("path", OTHER_PAGES)
def test_the_other_pages(tab: Page, service: Service, path: str) -> None:
    sign_in(tab.context, service)
    tab.goto(service.url + path)
    tab.wait_for_load_state("networkidle")
    expect_accessible(tab)
    expect_one_direction(tab)


def test_an_accounts_hours(tab: Page, counted: Service) -> None:
    sign_in(tab.context, counted)
    tab.goto(counted.url + ACCOUNT)
    tab.get_by_role("button", name="Table").click()
    for span, rows in (("7d", 7), ("24h", 24)):
        tab.get_by_label("Range").select_option(span)
        expect(tab.locator("#chart-rows tr")).to_have_count(rows)
        expect_accessible(tab)
    tab.evaluate("document.documentElement.dataset.figures = 'stale'")
    expect_accessible(tab)
    expect_one_direction(tab)
