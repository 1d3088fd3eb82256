"""Signing in and out, as a person does it."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import expect_mode
from tests.browser.service import Service


def fill(page: Page, email: str, password: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_it_works(context: BrowserContext, service: Service) -> None:
    page = context.new_page()
    page.goto(f"{service.url}/?range=24h")
    expect(page).to_have_title("Sign in · dmstats")
    fill(page, service.email, service.password)
    expect(page).to_have_url(f"{service.url}/?range=24h")
    expect_mode(page, "live")


def test_a_wrong_password_says_so_and_keeps_the_email(
    context: BrowserContext, service: Service
) -> None:
    page = context.new_page()
    page.goto(f"{service.url}/login")
    fill(page, "someone@example.com", "not the password")
    expect(page.get_by_role("alert")).to_contain_text("do not match")
    expect(page.get_by_label("Email")).to_have_value("someone@example.com")
    expect(page.get_by_label("Password")).to_be_focused()


def test_too_many_attempts_say_so(
    context: BrowserContext, own_service: Callable[..., Service]
) -> None:
    service = own_service()
    page = context.new_page()
    page.goto(f"{service.url}/login")
    alert = page.get_by_role("alert")
    for _ in range(30):
        fill(page, "someone@example.com", "not the password")
        if "do not match" not in alert.inner_text():
            break
    expect(alert).to_contain_text("Too many")


def test_signing_out_ends_the_session(context: BrowserContext, service: Service) -> None:
    page = context.new_page()
    page.goto(f"{service.url}/login")
    fill(page, service.email, service.password)
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_title("Sign in · dmstats")
    page.goto(service.url)
    expect(page).to_have_title("Sign in · dmstats")
