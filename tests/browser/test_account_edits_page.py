"""Names, limits and states in the pages, and lost DMs: on a phone, by keyboard, for who may."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from dmstats.db.admins.roles import Role
from tests.browser.axe import violations
from tests.browser.conftest import Scheme, looked_at
from tests.browser.fake_site import FakeSite, lost
from tests.browser.test_layout import FAULTS

LOOKS: list[tuple[int, Scheme]] = [(390, "dark"), (1280, "light")]


@pytest.fixture(params=LOOKS, ids=["phone", "desk"])
def page(request: pytest.FixtureRequest, tab: Page) -> Page:
    return looked_at(tab, *request.param)


def look(page: Page, name: str) -> None:
    """What holds of every page; with LOOK_FOLDER set it is photographed, too."""
    assert violations(page) == []
    # A dialog is meant to cover the page.
    assert page.locator("dialog[open]").count() or page.evaluate(FAULTS) == []
    width = page.evaluate("innerWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if folder := os.environ.get("LOOK_FOLDER"):
        page.screenshot(path=f"{folder}/{name}-{width}.png", full_page=True)


def test_one_account(page: Page, site: FakeSite) -> None:
    site.lost = lost(3)
    page.goto(f"{site.url}/accounts/17841400000000001")
    form = page.locator("#edit-form")
    limit = form.get_by_label("Monthly limit")
    expect(limit).to_have_value("449")
    expect(page.locator("#lost-rows tr")).to_have_count(3)
    expect(page.locator("#lost-rows tr").nth(2)).to_contain_text("0.024%")
    limit.fill("1000")
    form.get_by_label("Name").press("Enter")
    expect(page.locator("#edit-done")).to_have_text("Saved.")
    assert site.accounts[1]["monthlyDmLimit"] == 1000
    expect(page.locator("[data-figure='limit']")).to_contain_text("of 1,000")
    form.get_by_label("Active").press("Space")
    limit.fill("")
    form.get_by_role("button", name="Save").press("Enter")
    expect(page.locator("#about")).to_contain_text("inactive")
    assert site.accounts[1]["monthlyDmLimit"] is None
    form.get_by_role("button", name="Save").click()
    expect(page.locator("#edit-done")).to_have_text("Nothing was changed.")
    site.failing = {"/api/admin/accounts/17841400000000001": 400}
    limit.fill("5")
    form.get_by_role("button", name="Save").click()
    expect(page.locator("#edit-problem")).to_be_visible()
    expect(limit).to_have_value("5")
    site.failing = {}
    look(page, "account")


def test_an_import(page: Page, site: FakeSite, tmp_path: Path) -> None:
    file = tmp_path / "accounts.csv"
    file.write_text("instagramId,monthlyDmLimit\n17841400000000001,700\n")
    one, two = "17841400000000001", "17841400000000002"
    site.imported = {
        "accounts": 2, "unchanged": 3, "failed": 1, "preview": "p",
        "errors": [{"line": 4, "problem": "monthlyDmLimit must be a whole number from 0"}],
        "changes": [
            {"line": 2, "instagramId": one, "field": "username", "before": None, "after": "lumen"},
            {"line": 2, "instagramId": one, "field": "isActive", "before": True, "after": False},
            {"line": 3, "instagramId": two, "field": "monthlyDmLimit", "before": 5, "after": 700},
        ],
    }  # fmt: skip
    page.goto(f"{site.url}/accounts")
    button = page.get_by_role("button", name="Import")
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Import names, limits and activity")
    dialog.get_by_label("File").set_input_files(file)
    expect(page.locator("#import-rows tr")).to_have_count(3)
    expect(page.locator("#import-summary")).to_have_text(
        "2 accounts change, 3 are already as in the file, 1 line is skipped."
    )
    look(page, "import")
    dialog.get_by_role("button", name="Change 2 accounts").press("Enter")
    expect(page.locator("#import-summary")).to_contain_text("2 accounts were changed")
    expect(page.locator("#import-apply")).to_be_hidden()
    site.failing = {"/import": 409}
    dialog.get_by_label("File").set_input_files(file)
    expect(page.locator("#import-problem")).to_be_visible()
    site.failing = {}
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()


def test_lost_dms(page: Page, site: FakeSite) -> None:
    page.goto(f"{site.url}/lost")
    expect(page.locator("#unused")).to_be_visible()
    look(page, "lost-unused")
    site.lost = lost(5)
    page.reload()
    expect(page.locator("#day-rows tr")).to_have_count(5)
    expect(page.locator("#count")).to_have_text("77 of 61,735 in 30 days")
    row = page.locator("#account-rows tr").first
    expect(row.get_by_role("link", name="@lumen.studio")).to_have_attribute(
        "href", "/accounts/17841400000000000"
    )
    look(page, "lost")


def test_a_viewer_changes_nothing(tab: Page, site: FakeSite) -> None:
    site.role = Role.VIEWER
    tab.goto(f"{site.url}/accounts")
    expect(tab.locator("#rows tr")).to_have_count(12)
    expect(tab.get_by_role("button", name="Import")).to_have_count(0)
    tab.goto(f"{site.url}/accounts/17841400000000001")
    expect(tab.locator("#counters")).to_be_visible()
    expect(tab.locator("#edit")).to_have_count(0)
