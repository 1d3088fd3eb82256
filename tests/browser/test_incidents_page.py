"""The pages of the incidents: bars, list, one incident, and the test of the alerts."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from dmstats.db.admins.roles import Role
from tests.browser.axe import violations
from tests.browser.conftest import Scheme, looked_at
from tests.browser.fake_site import FakeSite, incident
from tests.browser.test_layout import FAULTS


@pytest.fixture
def filled(site: FakeSite) -> FakeSite:
    now = datetime.now(UTC)  # not at import: the test may run long after it
    site.channels = ["hooks.example.com", "slack", "pagerduty 2"]
    site.incidents = [
        incident(3, now - timedelta(minutes=20), None, title="Deliveries are failing"),
        incident(2, now - timedelta(days=3), timedelta(minutes=31)),
        incident(1, now - timedelta(days=40), timedelta(hours=5), alerts=[]),
    ]
    return site


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_it_works(tab: Page, filled: FakeSite, width: int, scheme: Scheme) -> None:
    """From the list to one incident by keyboard; nothing overlaps, and axe finds nothing."""
    page = looked_at(tab, width, scheme)
    page.goto(f"{filled.url}/incidents")
    expect(page.locator("#count")).to_have_text("1 open, 3 in 90 days")
    bars = page.get_by_role("img", name="Incidents on ")
    expect(bars.locator("span")).to_have_count(90)
    expect(bars.locator("[data-level='long']")).not_to_have_count(0)
    expect(page.locator("#rows tr").nth(0)).to_contain_text(re.compile(r"2\dm|\dh"))
    assert violations(page) == []
    assert page.evaluate(FAULTS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    link = page.get_by_role("link", name="Deliveries are failing")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Deliveries are failing")
    expect(page.locator("#about")).to_contain_text(re.compile(r"open for (2\dm|\dh)"))
    expect(page.locator("#steps li")).to_have_text(
        ["Run dmstats audit: it lists the differences.", "Find the cause."]
    )
    expect(page.locator("#alerts tr").nth(0)).to_contain_text("Sent at")
    expect(page.locator("#alerts tr").nth(1)).to_contain_text("7 attempts: status 503")
    assert violations(page) == []
    assert page.evaluate(FAULTS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_test_alert_reports_each_channel(tab: Page, filled: FakeSite) -> None:
    filled.tested = {
        "channels": [
            {"channel": "slack", "told": True, "problem": None},
            {"channel": "pagerduty", "told": False, "problem": "status 400"},
        ]
    }
    page = looked_at(tab, 390)
    page.goto(f"{filled.url}/incidents")
    button = page.get_by_role("button", name="Send a test alert")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#tested")).to_have_text("slack: sent; pagerduty: status 400.")
    expect(button).to_be_focused()
    assert violations(page) == []
    filled.failing["alerts"] = 503
    page.keyboard.press("Enter")
    expect(page.locator("#tested")).to_contain_text("does not answer")


def test_a_viewer_cannot_send_a_test(tab: Page, filled: FakeSite) -> None:
    filled.role = Role.VIEWER
    tab.goto(f"{filled.url}/incidents")
    expect(tab.locator("#channels")).to_contain_text("slack")
    expect(tab.locator("#rows tr")).to_have_count(3)
    expect(tab.get_by_role("button", name="Send a test alert")).to_have_count(0)


def test_without_incidents_and_channels(tab: Page, site: FakeSite) -> None:
    tab.goto(f"{site.url}/incidents")
    expect(tab.locator("#nothing")).to_be_visible()
    expect(tab.locator("#channels")).to_contain_text("DMSTATS_ALERT_URL is not set")
    expect(tab.get_by_role("button", name="Send a test alert")).to_be_hidden()
    expect(tab.get_by_role("img", name="No incidents in the last 90 days")).to_be_visible()
    assert violations(tab) == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_channels_and_rules(tab: Page, site: FakeSite, width: int, scheme: Scheme) -> None:
    """A channel is added, changed, tested and deleted, and a rule made, by keyboard."""
    page = looked_at(tab, width, scheme)
    page.goto(f"{site.url}/incidents")
    page.get_by_role("link", name="Channels and rules").press("Enter")
    rows = page.locator("#channels tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("from DMSTATS_ALERT_URL")
    page.get_by_label("Name", exact=True).fill("Night shift")
    page.get_by_label("Address").fill("http://127.0.0.1:9/secret-of-the-chat")
    page.get_by_label("All incidents").uncheck()
    page.get_by_label("Deliveries are failing").check()
    page.get_by_label("From", exact=True).fill("22:00")
    page.get_by_label("To", exact=True).fill("07:00")
    page.get_by_label("To", exact=True).press("Enter")
    expect(page.locator("#done")).to_have_text("Night shift was saved.")
    made = rows.nth(1)
    expect(made).to_contain_text("Deliveries are failing; quiet from 22:00 to 07:00")
    assert "secret-of-the-chat" not in page.content()
    page.get_by_role("button", name="Test Night shift").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Night shift: ")
    assert violations(page) == []
    assert page.evaluate(FAULTS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Change Night shift").press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    expect(page.get_by_label("Address")).to_have_value("")
    page.get_by_label("Name", exact=True).fill("Night")
    page.keyboard.press("Enter")
    expect(made).to_contain_text("Night127.0.0.1")
    page.get_by_label("Figure").select_option("perMinute")
    page.get_by_label("Is", exact=True).select_option("below")
    page.get_by_label("Threshold").fill("2")
    page.get_by_label("Threshold").press("Enter")
    rules = page.locator("#rules tr")
    expect(rules).to_contain_text("perMinute is below 2 for 10 minutes")
    page.get_by_label("Figure").select_option("sent in a full hour")
    expect(page.get_by_label("Threshold")).to_be_hidden()
    page.get_by_label("For how many minutes").fill("120")
    page.get_by_label("For how many minutes").press("Enter")
    expect(rules.nth(1)).to_contain_text("sent DMs of 2 full hours are outside the expected")
    page.get_by_role("button", name="Delete perMinute").press("Enter")
    expect(rules).to_have_count(1)
    page.get_by_role("button", name="Delete Night").press("Enter")
    expect(rows).to_have_count(1)
    expect(page.locator("#channels-title")).to_be_focused()
    assert violations(page) == []
