"""The page of the API tokens: made, shown once, revoked."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import looked_at, sign_in
from tests.browser.service import Service


def test_it_works(tab: Page, open_context: Callable[..., BrowserContext], service: Service) -> None:
    page = looked_at(tab, 390)
    sign_in(page.context, service)
    page.goto(f"{service.url}/tokens")
    form = page.locator("#add")
    form.get_by_label("Name", exact=True).fill("nightly report")
    form.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_contain_text("scopes")
    form.get_by_label("Read the figures").check()
    form.get_by_label("Expires after").select_option("30 days")
    form.get_by_role("button", name="Create").click()
    handout = page.locator("#handout")
    expect(handout).to_be_focused()
    secret = page.locator("#handout-secret").inner_text()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    stats = f"{service.url}/api/admin/stats"
    script = open_context()
    headers = {"Authorization": f"Bearer {secret}"}
    assert script.request.get(stats, headers=headers).status == 200
    page.reload()
    row = page.locator("#rows tr").filter(has_text="nightly report")
    expect(row).to_contain_text("read-figures")
    expect(row).to_contain_text("127.0.0.1")
    expect(page.get_by_text(secret)).to_have_count(0)
    page.get_by_role("button", name="Revoke nightly report").click()
    expect(page.locator("#done")).to_contain_text("was revoked")
    expect(row).to_have_count(0)
    assert script.request.get(stats, headers=headers).status == 401
