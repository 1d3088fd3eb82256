"""Values that no page expects: each costs its own place, and nothing beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
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


# Lets the page ask for each of the answers, and returns LOOK after each, as the page's text; null,
# the last, if the page does not show in time the mark that the answer has. ``others``: answers by
# URL's end.
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
        texts.push((MARK) === mark ? LOOK : null);
        if (texts.at(-1) === null) break;
    }
    window.fetch = asked;
    return texts;
}"""


def texts_after(
    page: Page, path: str, answers: list[tuple[str, str]], others: dict[str, str], *,
    ask: str, mark: str, look: str = "document.body.innerText",
) -> list[Any]:  # fmt: skip
    """The page's texts after ``answers``, JSON with its mark, to requests of ``path``.

    ``ask``, ``mark`` and ``look`` are JavaScript: make the page ask; the mark that is shown; what
    to return instead of the text. All in the page, as each step from here would take longer than
    the page does.
    """
    script = TEXTS.replace("ASK", ask).replace("MARK", mark).replace("LOOK", look)
    given = {"path": path, "answers": answers, "others": others}
    found: list[Any] = page.evaluate(script, given)
    return found + [None] * (len(answers) - len(found))


@pytest.fixture(autouse=True)
def low_window(tab: Page) -> None:
    """As hundreds of pictures are painted that nobody looks at."""
    tab.set_viewport_size({"width": 1280, "height": 60})


def expect_readable(text: str, of: str = "") -> None:
    assert not SHOWN.search(text), f"{of}: {SHOWN.search(text)}"
    assert not re.search("[\u2028\u2029\u0085\u202a-\u202e]", text), of


ASK_AGAIN = "document.dispatchEvent(new Event('visibilitychange'))"
# Without a stream, which a page that is asked for its figures again would try again, too.
STREAMLESS = "() => { window.EventSource = class extends EventTarget { close() {} }; }"
PAUSE_AND_RESUME = "for (const _ of [1, 2]) document.querySelector('#pause').click()"


def odd_lists() -> Iterator[tuple[str, list[Any], str]]:
    """For each field, a list of accounts that have the odd values in it, and the figure that the
    last one has sent."""
    for n, field in enumerate(FIELDS):
        odd = [account(100 + i, 900, **{field: value}) for i, value in enumerate(ODD)]
        yield field, [account(1, 900), *odd, "no account", account(2, 300 + n)], f"{300 + n}"


def expect_odd_lists(page: Page, path: str, answers: list[tuple[str, str]], **script: str) -> None:
    """Each of ``answers`` has all its rows, none of which leads elsewhere."""
    rows = script.pop("rows")
    seen = texts_after(
        page, path, answers, {}, **script,
        mark=f"""document.querySelector("{rows}:last-child .roomy")?.textContent""",
        look=f"""({{
            rows: [...document.querySelectorAll("{rows}")].map((row) => row.innerText),
            links: [...document.querySelectorAll("{rows} a")].map((each) => each.pathname),
            text: document.body.innerText,
        }})""",
    )  # fmt: skip
    for (field, _, _), found in zip(odd_lists(), seen, strict=True):
        assert found, f"{field}: not drawn"
        assert len(found["rows"]) == len(ODD) + 3, field
        assert "17841400000000002" in found["rows"][-1], field
        for value, row in zip(ODD, found["rows"][1:], strict=False):
            expect_readable(row, f"{field} {value!r}")
        expect_readable(found["text"], field)
        assert all(re.fullmatch(r"/accounts/[^/]+", link) for link in found["links"]), field


def test_odd_fields_in_the_list_of_accounts(tab: Page, site: FakeSite) -> None:
    tab.goto(f"{site.url}/accounts")
    expect(tab.locator("#rows tr")).to_have_count(12)
    answers = [
        (json.dumps({"accounts": accounts, "nextCursor": None, "complete": True}), mark)
        for _, accounts, mark in odd_lists()
    ]
    expect_odd_lists(tab, "/api/admin/accounts", answers, rows="#rows tr", ask=ASK_AGAIN)


def test_odd_fields_of_the_top_accounts(tab: Page, site: FakeSite) -> None:
    tab.goto(site.url)
    expect_mode(tab, "polling")
    tab.evaluate(STREAMLESS)
    answers = [
        (json.dumps(snapshot(version=f"7-{2 + n}", topAccounts=accounts)), mark)
        for n, (_, accounts, mark) in enumerate(odd_lists())
    ]
    expect_odd_lists(
        tab, "/api/admin/stats", answers, rows="#accounts-rows tr", ask=PAUSE_AND_RESUME
    )


def test_a_page_that_brings_odd_accounts(tab: Page, site: FakeSite) -> None:
    every = [each for _, accounts, _ in odd_lists() for each in accounts]
    site.snapshot = snapshot(topAccounts=every)
    tab.goto(site.url)
    rows = tab.locator("#accounts-rows tr")
    expect(rows).to_have_count(len(every))
    expect(rows.last).to_contain_text("17841400000000002")
    expect_readable(tab.locator("body").inner_text())


def test_the_page_of_an_odd_account(tab: Page, site: FakeSite) -> None:
    # The account of the address is fine; the answers after it are odd.
    site.accounts = [account(1, 900)]
    tab.goto(f"{site.url}/accounts/17841400000000001")
    expect(tab.locator("[data-figure='sent']")).to_have_text("900")
    for other, shown, odd in (
        ("dmUsed", "sent", [field for field in FIELDS if field != "dmUsed"]),
        ("dmReceived", "received", ["dmUsed"]),
    ):
        values = [(field, value) for field in odd for value in ODD]
        answers = [
            (json.dumps(account(1, 777, **{other: 300 + i, field: value})), f"{300 + i}")
            for i, (field, value) in enumerate(values)
        ]
        texts = texts_after(
            tab, "/api/admin/accounts/", answers, {"/activity": json.dumps(activity())},
            ask=ASK_AGAIN,
            mark=f"""document.querySelector("#counters").checkVisibility() &&
                      document.querySelector("[data-figure='{shown}']").textContent""",
        )  # fmt: skip
        for (field, value), text in zip(values, texts, strict=True):
            assert text, f"{field} {value!r}: the counters are not shown"
            expect_readable(text, f"{field} {value!r}")


def test_odd_values_in_a_snapshot(tab: Page, site: FakeSite) -> None:
    usual = snapshot()
    tab.goto(site.url)
    expect_mode(tab, "polling")
    tab.evaluate(STREAMLESS)
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
            ask=PAUSE_AND_RESUME,
            mark=f"""document.querySelector("[data-figure='{other}']").textContent""",
        )  # fmt: skip
        for (field, value), text in zip(values, texts, strict=True):
            assert text, f"{field} {value!r}: not drawn"
            expect_readable(text, f"{field} {value!r}")


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
