"""The pages of the accounts: search, order, page on, export, one account."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import sign_in
from tests.browser.service import Service

SECOND, THIRD = "17841400000000022", "17841400000000333"


@pytest.fixture
def accounts(context: BrowserContext, service: Service) -> Page:
    """The page of all accounts, with three of them."""
    service.send(2, 1, account=SECOND)
    service.send(1, account=THIRD)
    sign_in(context, service)
    page = context.new_page()
    page.goto(f"{service.url}/accounts")
    expect(page.locator("#rows tr")).to_have_count(3)
    return page


def test_it_works(accounts: Page) -> None:
    expect(accounts.locator("#count")).to_have_text("3 in all")
    expect(accounts.locator("th[aria-sort='descending']")).to_have_text("All time")
    expect(accounts.get_by_role("link", name="Accounts")).to_have_attribute("aria-current", "page")


def test_searching_by_the_beginning_of_an_id(accounts: Page) -> None:
    accounts.get_by_label("Search by name or id").fill(SECOND[:-1])
    expect(accounts.locator("#rows tr")).to_have_count(1)
    expect(accounts).to_have_url(re.compile(r"\?query=\d+$"))
    accounts.reload()
    expect(accounts.locator("#rows tr")).to_have_count(1)
    accounts.get_by_label("Search by name or id").fill("nobody")
    expect(accounts.get_by_text("No account's name or id begins like this.")).to_be_visible()


def test_what_is_shown_can_be_had_as_csv(accounts: Page, tmp_path: Path) -> None:
    with accounts.expect_download() as download:
        accounts.get_by_role("button", name="CSV").click()
    assert download.value.suggested_filename == "accounts.csv"
    download.value.save_as(tmp_path / "accounts.csv")
    with (tmp_path / "accounts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {SECOND, THIRD} < {row["instagramId"] for row in rows}


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
    expect(accounts.get_by_role("alert")).to_contain_text("no account with that Instagram id")
    expect(accounts.locator("#counters")).to_be_hidden()


def test_a_session_that_ended(accounts: Page, context: BrowserContext) -> None:
    context.clear_cookies()
    accounts.get_by_label("Search by name or id").fill("x")
    alert = accounts.get_by_role("alert")
    expect(alert).to_contain_text("Your session has ended.")
    expect(alert.get_by_role("link", name="Sign in again")).to_have_attribute(
        "href", re.compile(r"^/login\?next=%2Faccounts")
    )


def test_an_account_that_is_not_answered_for_looks_stale(
    context: BrowserContext, service: Service
) -> None:
    sign_in(context, service)
    page = context.new_page()
    page.clock.install()
    page.goto(f"{service.url}/accounts/17841400000000001")
    expect(page.locator("#age")).to_have_text(re.compile(r"Updated \d+s ago"))
    page.route("**/api/admin/accounts/*", lambda route: route.abort())
    page.clock.run_for(80_000)
    expect(page.locator("html")).to_have_attribute("data-figures", "stale")
    expect(page.locator("#age")).to_have_text(re.compile(r"Updated 1m \d+s ago"))
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.unroute("**/api/admin/accounts/*")
    page.clock.run_for(31_000)
    expect(page.locator("html")).to_have_attribute("data-figures", "fresh")
