"""The page of the deliveries: names, groups and details, on a phone and by keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import Scheme, looked_at
from tests.browser.fake_site import FakeSite, deliveries
from tests.browser.test_layout import FAULTS


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_it_works(tab: Page, site: FakeSite, width: int, scheme: Scheme) -> None:
    site.deliveries = deliveries(2)
    page = looked_at(tab, width, scheme)
    page.goto(f"{site.url}/deliveries")
    expect(page.locator("#name-rows tr").nth(0)).to_contain_text("payment")
    expect(page.locator("#rows tr")).to_have_count(4)
    summary = page.locator("#rows summary").nth(1)
    expect(summary).to_have_text("1 rejected: entry[].messaging[].message.mid")
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#rows details[open] dl")).to_contain_text("account 17841400000000001")
    assert violations(page) == []
    assert page.evaluate(FAULTS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    site.deliveries = {"deliveries": [], "names": []}
    button = page.get_by_role("button", name="Refused")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#nothing")).to_be_visible()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#no-names")).to_be_visible()
    assert violations(page) == []
