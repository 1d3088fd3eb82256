"""Values that no page expects: each costs its own place, and nothing beside it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import expect_mode
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


# Lets the page ask for each of the answers, and returns the page's text after each; null, the last,
# if the page does not show in time the mark that the answer has. ``others``: answers by URL's end.
TEXTS = """async ({ path, answers, others }) => {
    const asked = window.fetch;
    const wait = (ms) => new Promise((done) => setTimeout(done, ms));
    let answer;
    window.fetch = async (url, ...more) => {
        if (!url.includes(path)) return asked(url, ...more);
        const other = Object.keys(others).find((end) => url.endsWith(end));
        return new Response(other ? others[other] : answer);
    };
    const texts = [];
    for (const [body, mark] of answers) {
        answer = body;
        ASK;
        const deadline = performance.now() + 10_000;
        while ((MARK) !== mark && performance.now() < deadline) await wait(1);
        await wait(0);  // what the page asked for next
        texts.push((MARK) === mark ? document.body.innerText : null);
        if (texts.at(-1) === null) break;
    }
    window.fetch = asked;
    return texts;
}"""


def texts_after(
    page: Page, path: str, answers: list[tuple[str, str]], others: dict[str, str], *,
    ask: str, mark: str,
) -> list[str | None]:  # fmt: skip
    """The page's texts after ``answers``, JSON with its mark, to requests of ``path``.

    ``ask`` and ``mark`` are JavaScript: make the page ask; the mark that is shown. All in the page,
    as each step from here would take longer than the page does.
    """
    script = TEXTS.replace("ASK", ask).replace("MARK", mark)
    found: list[str | None] = page.evaluate(
        script, {"path": path, "answers": answers, "others": others}
    )
    return found


def expect_readable(text: str) -> None:
    assert not SHOWN.search(text), SHOWN.search(text)
    assert not re.search("[\u2028\u2029\u0085\u202a-\u202e]", text)


@pytest.mark.parametrize("field", FIELDS)
def test_an_odd_field_of_an_account(tab: Page, site: FakeSite, field: str) -> None:
    odd = [account(100 + i, 900, **{field: value}) for i, value in enumerate(ODD)]
    site.accounts = [account(1, 900), *odd, "no account", account(2, 900)]
    site.snapshot = snapshot(topAccounts=site.accounts)
    for path, rows in (("/accounts", "#rows tr"), ("/", "#accounts-rows tr")):
        tab.goto(site.url + path)
        expect(tab.locator(rows)).to_have_count(len(ODD) + 3)
        expect(tab.locator(rows).last).to_contain_text("17841400000000002")
        expect_readable(tab.locator("body").inner_text())
        links = tab.locator(f"{rows} a").evaluate_all("(all) => all.map((each) => each.pathname)")
        assert all(re.fullmatch(r"/accounts/[^/]+", link) for link in links)


@pytest.mark.parametrize("field", FIELDS)
def test_the_page_of_an_odd_account(tab: Page, site: FakeSite, field: str) -> None:
    # The account of the address is fine; the answers after it are odd.
    site.accounts = [account(1, 900)]
    tab.goto(f"{site.url}/accounts/17841400000000001")
    expect(tab.locator("[data-figure='sent']")).to_have_text("900")
    other, shown = ("dmReceived", "received") if field == "dmUsed" else ("dmUsed", "sent")
    answers = [
        (json.dumps(account(1, 777, **{other: 300 + i, field: value})), f"{300 + i}")
        for i, value in enumerate(ODD)
    ]
    texts = texts_after(
        tab, "/api/admin/accounts/", answers, {"/activity": json.dumps(activity())},
        ask="document.dispatchEvent(new Event('visibilitychange'))",
        mark=f"""document.querySelector("#counters").checkVisibility() &&
                  document.querySelector("[data-figure='{shown}']").textContent""",
    )  # fmt: skip
    for value, text in zip(ODD, texts, strict=True):
        assert text, f"{value!r}: the counters are not shown"
        expect_readable(text)


def test_odd_values_in_a_snapshot(tab: Page, site: FakeSite) -> None:
    usual = snapshot()
    tab.goto(site.url)
    expect_mode(tab, "polling")
    # Asked for its figures again, the page would try the stream again, too.
    tab.evaluate("() => { window.EventSource = class extends EventTarget { close() {} }; }")
    fields = set(usual) - {"version", "computedAt"}
    n = 1
    # Another figure is newly drawn each time.
    for other, odd in (("duplicates", fields - {"duplicates"}), ("rejected", {"duplicates"})):
        values = [(field, value) for field in sorted(odd) for value in SPOILT]
        answers = []
        for field, value in values:
            n += 1
            body = {**usual, "version": f"7-{n}", other: n, field: value}
            answers.append((json.dumps(body), f"{n:,}"))
        texts = texts_after(
            tab, "/api/admin/stats", answers, {},
            ask="for (const _ of [1, 2]) document.querySelector('#pause').click()",
            mark=f"""document.querySelector("[data-figure='{other}']").textContent""",
        )  # fmt: skip
        for (field, value), text in zip(values, texts, strict=True):
            assert text, f"{field} {value!r}: not drawn"
            expect_readable(text)


def test_what_is_no_snapshot_is_an_error_of_the_service(tab: Page, site: FakeSite) -> None:
    tab.goto(site.url)
    expect_mode(tab, "polling")
    before = tab.locator("html").get_attribute("data-version")
    site.snapshot = {"version": 5, "computedAt": []}
    expect_mode(tab, "reconnecting")
    expect(tab.locator("#sentence")).to_contain_text("The service reports an error")
    assert tab.locator("html").get_attribute("data-version") == before


def test_a_page_whose_own_snapshot_is_odd(tab: Page, site: FakeSite) -> None:
    for odd in ({"version": "7-1"}, {"computedAt": 5, "audit": [], "today": "x"}, {"audit": 5}):
        site.snapshot = odd
        answer = tab.goto(site.url)
        assert answer
        assert answer.status == 200
        expect_readable(tab.locator("body").inner_text())


def test_a_limit_of_0_is_a_limit(tab: Page, site: FakeSite) -> None:
    site.accounts = [account(1, 900, monthlyDmLimit=0), account(2, 900, monthlyDmLimit=None)]
    tab.goto(f"{site.url}/accounts")
    expect(tab.locator("#rows tr").first).to_contain_text("limit 0")
    expect(tab.locator("#rows tr").last).to_contain_text("no limit")
    tab.goto(f"{site.url}/accounts/17841400000000001")
    expect(tab.locator("[data-figure='limit']")).to_have_text("The monthly limit is 0")
