"""Signing in and out, as a person does it."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import expect_mode
from tests.browser.service import Service


def fill(page: Page, email: str, password: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_it_works(tab: Page, service: Service) -> None:
    page = tab
    page.goto(f"{service.url}/?range=24h")
    expect(page).to_have_title("Sign in · dmstats")
    fill(page, service.email, service.password)
    expect(page).to_have_url(f"{service.url}/?range=24h")
    expect_mode(page, "live")


def test_a_wrong_password_says_so_and_keeps_the_email(tab: Page, service: Service) -> None:
    page = tab
    page.goto(f"{service.url}/login")
    fill(page, "someone@example.com", "not the password")
    expect(page.get_by_role("alert")).to_contain_text("do not match")
    expect(page.get_by_label("Email")).to_have_value("someone@example.com")
    expect(page.get_by_label("Password")).to_be_focused()


def test_signing_out_ends_the_session(tab: Page, service: Service) -> None:
    page = tab
    page.goto(f"{service.url}/login")
    fill(page, service.email, service.password)
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_title("Sign in · dmstats")
    page.goto(service.url)
    expect(page).to_have_title("Sign in · dmstats")
