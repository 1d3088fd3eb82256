"""The page of the alert channels and rules, on a phone and with the keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import looked_at, sign_in
from tests.browser.service import Service


@pytest.fixture
def alerts(tab: Page, service: Service) -> Page:
    page = looked_at(tab, 390)
    sign_in(page.context, service)
    page.goto(f"{service.url}/alerts")
    return page


def test_a_rule_is_made_changed_and_deleted_with_the_keyboard(alerts: Page) -> None:
    rules, said = alerts.locator("#rules tr"), alerts.locator("#done")
    form = alerts.locator("#rule-form")
    figure = form.get_by_label("Figure")
    expect(figure.locator("option[value='today.sent']")).to_have_count(1)
    figure.select_option("today.sent")
    form.get_by_label("Threshold").fill("5000")
    form.get_by_role("button", name="Add").press("Enter")
    expect(said).to_have_text("The rule was added.")
    expect(rules).to_have_text([form_words("today.sent is above 5000 for 10 minutes")])
    rules.get_by_role("button", name="Change today.sent").press("Enter")
    expect(alerts.get_by_role("heading", name="Change a rule")).to_be_visible()
    expect(figure).to_be_focused()
    expect(figure).to_have_value("today.sent")
    expect(form.get_by_label("Threshold")).to_have_value("5000")
    assert violations(alerts) == []
    width = alerts.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    form.get_by_label("Is", exact=True).select_option("below")
    form.get_by_label("For how many minutes").fill("30")
    alerts.keyboard.press("Enter")
    expect(said).to_have_text("The rule was changed.")
    expect(rules).to_have_text([form_words("today.sent is below 5000 for 30 minutes")])
    expect(alerts.get_by_role("heading", name="Add a rule")).to_be_visible()
    expect(form.get_by_label("For how many minutes")).to_have_value("10")
    # To another sense, which has no threshold.
    rules.get_by_role("button", name="Change").press("Enter")
    figure.select_option("outside sent")
    expect(form.get_by_label("Threshold")).to_be_hidden()
    form.get_by_role("button", name="Save").press("Enter")
    expect(rules).to_contain_text(["sent DMs of a full hour are outside the expected range"])
    # Cancelled, it stays what it was; deleted while it is open, the form is for a new one.
    rules.get_by_role("button", name="Change").press("Enter")
    form.get_by_role("button", name="Cancel").press("Enter")
    expect(form.get_by_role("button", name="Add")).to_be_visible()
    rules.get_by_role("button", name="Change").press("Enter")
    rules.get_by_role("button", name="Delete").press("Enter")
    expect(alerts.locator("#no-rules")).to_be_visible()
    expect(form.get_by_role("button", name="Add")).to_be_visible()
    expect(alerts.get_by_role("heading", name="Rules", exact=True)).to_be_focused()
    assert violations(alerts) == []


def form_words(words: str) -> str:
    """A row of the rules."""
    return f"{words}not metChange Delete"
