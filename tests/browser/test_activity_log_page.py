"""The page of the activity log: filters, and a file of what they find."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import looked_at, sign_in
from tests.browser.service import Service


def test_it_works(tab: Page, service: Service) -> None:
    page, context = looked_at(tab, 390), tab.context
    wrong = {"email": service.email, "password": "not the password"}
    assert context.request.post(f"{service.url}/login", data=wrong).status == 401
    sign_in(context, service, alone=True)
    page.goto(f"{service.url}/activity-log")
    expect(page.locator(".log tbody tr").first).to_contain_text("Signed in")
    page.get_by_label("What").select_option("Sign-in failed")
    page.get_by_label("Actor or target").fill(service.email[:4])
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile("event=sign-in-failed"))
    row = page.locator(".log tbody tr").first
    expect(row).to_contain_text(f"Sign-in failed: {service.email}")
    expect(row).to_contain_text("127.0.0.1")
    expect(page.get_by_label("What")).to_have_value("sign-in-failed")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    with page.expect_download() as saved:
        page.get_by_role("link", name="CSV").click()
    text = saved.value.path().read_text(encoding="utf-8-sig")
    assert text.startswith("at,event,actorKind,actor,from,target,details\n")
    assert "signed-in" not in text
    page.get_by_label("From (UTC)").fill("2999-01-01")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No entries match.")).to_be_visible()
