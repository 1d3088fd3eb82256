"""What holds on every page: readable by everybody, in light and dark, on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.axe import violations
from tests.browser.conftest import expect_mode, go_offline, open_dashboard, sign_in
from tests.browser.service import Service

PHONE = {"width": 320, "height": 640}
ACCOUNT = "/accounts/17841400000000001"
OTHER_PAGES = [
    "/accounts", ACCOUNT, "/accounts/404", "/incidents", "/alerts", "/deliveries", "/lost",
    "/admins", "/me", "/activity-log", "/tokens", "/links",
]  # fmt: skip

OpenContext = Callable[..., BrowserContext]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_dashboard(
    open_context: OpenContext, service: Service, scheme: str
) -> None:
    context = open_context(color_scheme=scheme)
    sign_in(context, service)
    page = open_dashboard(context, service, "/?range=7d&compare=previous")
    expect(page.locator("#compared")).to_contain_text("No comparison")
    page.get_by_role("button", name="Table").click()
    page.get_by_label("Range").select_option("custom")
    page.get_by_text("Keys", exact=True).click()
    assert violations(page) == []
    go_offline(page)
    expect_mode(page, "offline")
    page.evaluate("document.documentElement.dataset.figures = 'stale'")
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_at_the_sign_in(
    open_context: OpenContext, service: Service, scheme: str
) -> None:
    page = open_context(color_scheme=scheme).new_page()
    page.goto(f"{service.url}/login")
    assert violations(page) == []
    page.get_by_label("Email").fill("unknown@example.com")
    page.get_by_label("Password").fill("wrong password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("path", OTHER_PAGES)
def test_axe_finds_nothing_on_the_other_pages(
    open_context: OpenContext, service: Service, path: str
) -> None:
    context = open_context(color_scheme="light")
    sign_in(context, service)
    page = context.new_page()
    page.goto(service.url + path)
    page.wait_for_load_state("networkidle")
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_an_accounts_hours(
    open_context: OpenContext, counted: Service, scheme: str
) -> None:
    context = open_context(color_scheme=scheme)
    sign_in(context, counted)
    page = context.new_page()
    page.goto(counted.url + ACCOUNT)
    page.get_by_role("button", name="Table").click()
    for span, rows in (("7d", 7), ("24h", 24)):
        page.get_by_label("Range").select_option(span)
        expect(page.locator("#chart-rows tr")).to_have_count(rows)
        assert violations(page) == []
    page.evaluate("document.documentElement.dataset.figures = 'stale'")
    assert violations(page) == []


@pytest.mark.parametrize("path", ["/", "/login", *OTHER_PAGES])
def test_a_phone_scrolls_in_one_direction_only(
    open_context: OpenContext, counted: Service, path: str
) -> None:
    context = open_context(viewport=PHONE)
    if path != "/login":
        sign_in(context, counted)
    page = context.new_page()
    page.goto(counted.url + path)
    page.wait_for_timeout(1000)
    if path == ACCOUNT:
        page.get_by_role("button", name="Table").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
