"""Values that no page expects: each costs its own place, and nothing beside it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.fake_site import FakeSite, account, activity, snapshot

ODD: list[Any] = [
    None, True, -5, 1.5, 2**53 + 1, 1e300, "", "   ", "yesterday", "15/11/2026 12:34", "2026-9",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "__proto__", "user\u202egnp.exe",
    "a\u2028b\u2029c\u0085d", "a\x00b", "..", "a/b", "</script><b>x", "x" * 20_000, [], [None], {},
    {"a": 1},
]  # fmt: skip
SPOILT: list[Any] = [[], {}, "x", None, True, -1, 1e300, [{"at": "x"}], {"at": {}}]
FIELDS = sorted(account(1, 900))
SHOWN = re.compile(r"NaN|undefined|\[object|Infinity|Invalid|\bnull\b")


def expect_readable(page: Page) -> None:
    text = page.locator("body").inner_text()
    assert not SHOWN.search(text), SHOWN.search(text)
    assert not re.search("[\u2028\u2029\u0085\u202a-\u202e]", text)


@pytest.mark.parametrize("field", FIELDS)
def test_an_odd_field_of_an_account(context: BrowserContext, site: FakeSite, field: str) -> None:
    odd = [account(100 + i, 900, **{field: value}) for i, value in enumerate(ODD)]
    site.accounts = [account(1, 900), *odd, "no account", account(2, 900)]
    site.snapshot = snapshot(topAccounts=site.accounts)
    page = context.new_page()
    for path, rows in (("/accounts", "#rows tr"), ("/", "#accounts-rows tr")):
        page.goto(site.url + path)
        expect(page.locator(rows)).to_have_count(len(ODD) + 3)
        expect(page.locator(rows).last).to_contain_text("17841400000000002")
        expect_readable(page)
        links = page.locator(f"{rows} a").evaluate_all("(all) => all.map((each) => each.pathname)")
        assert all(re.fullmatch(r"/accounts/[^/]+", link) for link in links)


@pytest.mark.parametrize("field", FIELDS)
def test_the_page_of_an_odd_account(context: BrowserContext, site: FakeSite, field: str) -> None:
    page = context.new_page()
    # The account of the address is fine; the answers after it are odd.
    site.accounts = [account(1, 900)]
    page.goto(f"{site.url}/accounts/17841400000000001")
    expect(page.locator("[data-figure='sent']")).to_have_text("900")
    values = ODD[:]

    def answer(route: Any) -> None:
        if route.request.url.endswith("/activity"):
            route.fulfill(json=activity())
        else:
            route.fulfill(json=account(1, 777, **{field: values[0]}))

    page.route("**/api/admin/accounts/**", answer)
    while values:
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_timeout(30)
        expect_readable(page)
        expect(page.locator("#counters")).to_be_visible()
        other = "received" if field == "dmUsed" else "sent"
        expect(page.locator(f"[data-figure='{other}']")).to_have_text(
            "543" if other == "received" else "777"
        )
        values.pop(0)


def test_odd_values_in_a_snapshot(context: BrowserContext, site: FakeSite) -> None:
    usual = snapshot()
    page = context.new_page()
    page.goto(site.url)
    n = 1
    for field in sorted(set(usual) - {"version", "computedAt"}):
        for value in SPOILT:
            n += 1
            site.snapshot = {**usual, field: value, "version": f"7-{n}", "duplicates": n}
            page.evaluate("document.querySelector('#pause').click()")
            page.evaluate("document.querySelector('#pause').click()")
            if field != "duplicates":
                expect(page.locator("[data-figure='duplicates']")).to_have_text(f"{n:,}")
            expect_readable(page)


def test_what_is_no_snapshot_is_an_error_of_the_service(
    context: BrowserContext, site: FakeSite
) -> None:
    page = context.new_page()
    page.goto(site.url)
    expect(page.locator("html")).to_have_attribute("data-mode", "polling")
    before = page.locator("html").get_attribute("data-version")
    site.snapshot = {"version": 5, "computedAt": []}
    expect(page.locator("html")).to_have_attribute("data-mode", "reconnecting")
    expect(page.locator("#sentence")).to_contain_text("The service reports an error")
    assert page.locator("html").get_attribute("data-version") == before


def test_a_page_whose_own_snapshot_is_odd(context: BrowserContext, site: FakeSite) -> None:
    for odd in ({"version": "7-1"}, {"computedAt": 5, "audit": [], "today": "x"}, {"audit": 5}):
        site.snapshot = odd
        page = context.new_page()
        answer = page.goto(site.url)
        assert answer
        assert answer.status == 200
        expect_readable(page)
        page.close()


def test_a_limit_of_0_is_a_limit(context: BrowserContext, site: FakeSite) -> None:
    site.accounts = [account(1, 900, monthlyDmLimit=0), account(2, 900, monthlyDmLimit=None)]
    page = context.new_page()
    page.goto(f"{site.url}/accounts")
    expect(page.locator("#rows tr").first).to_contain_text("limit 0")
    expect(page.locator("#rows tr").last).to_contain_text("no limit")
    page.goto(f"{site.url}/accounts/17841400000000001")
    expect(page.locator("[data-figure='limit']")).to_have_text("The monthly limit is 0")
