"""All pages of a :class:`FakeSite`, filled with long texts and figures of as many digits as asked
for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple

from flask import Flask, Response, jsonify, render_template
from flask.typing import ResponseReturnValue
from playwright.sync_api import Page

from dmstats.db.admins.activity_log import Actor, ActorKind, Event, LogEntry
from dmstats.db.admins.password_link import LinkOver
from dmstats.db.admins.shared_links import Part
from dmstats.db.annotations import Annotation
from dmstats.web.pages.overview import overview_page
from tests.browser.fake_site import (
    FakeSite,
    account,
    activity,
    deliveries,
    incident,
    lost,
    rfc,
    snapshot,
)

# Whether what the selector finds is there within 30 seconds; opens what one has to open.
OPENED = """async (selector) => {
  const there = await new Promise((done) => {
    const look = () => document.querySelector(selector) && done(true);
    const all = { subtree: true, childList: true, attributes: true };
    new MutationObserver(look).observe(document, all);
    setTimeout(() => done(false), 30_000);
    look();
  });
  for (const each of document.querySelectorAll("details")) each.open = true;
  return there;
}"""
LONG_EMAIL = f"{'long.' * 30}@example.com"
ID = "17841400000000001"


class View(NamedTuple):
    """A page's address, a selector of what is there once the page shows all, and with how many
    digits it is worth looking at."""

    path: str
    ready: str = "main"
    digits: Collection[int] = (7,)


EACH = (0, 3, 7, 9, 12)
LONG = (7, 12)
ROWS, AGE, CHART = "#rows tr", "#age:not(:empty)", "#chart canvas"
COMPARED = "#compared:not(:empty)"
POLLING = "html[data-mode=polling]"
NOTED = f"{POLLING} #notes-none:not(:empty)"
VIEWS = {
    "overview": View("/", NOTED, EACH),
    "overview, compared": View("/?range=30d&compare=previous", COMPARED, LONG),
    "overview, expected": View("/?range=7d&unit=hour&compare=expected", COMPARED, LONG),
    "accounts": View("/accounts", AGE, EACH),
    "account": View(f"/accounts/{ID}", CHART, EACH),
    "account, expected": View(f"/accounts/{ID}?range=30d&compare=expected", COMPARED, LONG),
    "lost": View("/lost", AGE, EACH),
    "shared": View("/shared/link", POLLING, EACH),
    "wall": View("/?wall", POLLING, EACH),
    "incidents": View("/incidents", ROWS),
    "incident": View(f"/incidents/{0:013d}-drift", AGE),
    "deliveries": View("/deliveries", ROWS),
    "alerts": View("/alerts", "#channels tr"),
    "people": View("/admins", ROWS),
    "tokens": View("/tokens", ROWS),
    "links": View("/links", ROWS),
    "me": View("/me"),
    "activity": View("/activity-log"),
    "sign-in": View("/login"),
    "sign-in, refused": View("/login/refused"),
    "second factor": View("/login/code"),
    "passkey": View("/login/passkey"),
    "password": View("/password"),
    "password, set": View("/password/done"),
    "password, refused": View("/password/refused"),
    "deletion": View("/data-deletion/code"),
    "missing": View("/missing"),
}
BOTH = {"codes": True, "passkeys": True}
ERROR = "Too many attempts from this address. Try again in 14 minutes."
SIGNED_OUT: dict[str, tuple[str, dict[str, Any]]] = {
    "/login": ("login.html", {"passkeys": True, "single_sign_on": "Example Identity"}),
    "/login/refused": ("login.html", {"error": ERROR, "email": LONG_EMAIL, "proxied": LONG_EMAIL}),
    "/login/code": ("code.html", {"person": BOTH, "passkeys": True, "error": ERROR}),
    "/login/passkey": ("code.html", {"person": {"passkeys": True}, "passkeys": True}),
    "/password": ("password.html", {"email": LONG_EMAIL, "link": "x"}),
    "/password/done": ("password.html", {"email": LONG_EMAIL, "done": True}),
    "/password/refused": ("password.html", {"error": str(LinkOver())}),
    "/data-deletion/code": ("deletion.html", {"code": "4f" * 20, "waiting": True}),
}


class EveryPage(FakeSite):
    """Has the pages of people and secrets, too."""

    def fill(self, digits: int) -> None:
        """Show figures of about as many digits; 0: nothing was counted yet."""
        number = int("987654321098"[:digits] or 0)
        now = datetime.now(UTC)
        self.snapshot = snapshot(number)
        self.hours.per_hour = self.account_hours.per_hour = number // 30
        self.accounts = [account(i, number // (i + 1)) for i in range(12)] if digits else []
        self.accounts[1:2] = [account(1, number, username="a" * 30)] if digits else []
        self.activity = activity(number // 30)
        self.lost = lost(4) if digits else lost(0)
        for each in (*self.lost["days"], *self.lost["accounts"]):
            each.update(sends=number, late=number // 7, lost=number // 3, lostShare=1 / 3)
        began = now - timedelta(hours=3)
        self.incidents = [incident(i, began, None) for i in range(3)]
        self.channels = ["hooks.a-very-long-name-of-a-host.example.com"] * 3
        self.deliveries = deliveries(3)
        self.annotations = [
            Annotation("1", "note", round(began.timestamp() * 1000), "Launch in Spain", LONG_EMAIL)
        ]
        self.admins = {
            "admins": [
                {"id": "1", "email": LONG_EMAIL, "disabled": True, "createdAt": rfc(now)},
                {"id": "2", "email": "a@b.c", "disabled": False, "createdAt": None},
            ],
            "you": "2",
        }

    def _services(self) -> SimpleNamespace:
        services = super()._services()
        actor = Actor(ActorKind.PERSON, LONG_EMAIL, "2001:db8:85a3::8a2e:370:7334")
        now = datetime.now(UTC)
        detail = rfc(now + timedelta(days=30))
        at = round(now.timestamp() * 1000)
        entry = LogEntry("1", at, Event.NOTE_ADDED, actor, detail, "Launch in Spain")
        services.activity_log = SimpleNamespace(page=lambda *_, **__: ([entry] * 3, None))
        return services

    def _made(self) -> Flask:
        app = super()._made()
        ended = rfc(datetime.now(UTC) + timedelta(days=30))
        token = {"id": "1", "name": "nightly report of the head office", "madeBy": LONG_EMAIL,
                 "scopes": ["read-figures", "read-accounts", "read-activity-log"],
                 "endsAt": ended, "usedAt": ended, "usedFrom": "2001:db8:85a3::8a2e:370:7334",
                 "label": "Entrance hall of the head office", "createdAt": ended,
                 "parts": ["messages", "people", "accounts", "quality", "events"]}  # fmt: skip
        for path in ("tokens", "links", "me/passkeys"):
            name = path.rpartition("/")[2]
            app.add_url_rule(f"/api/admin/{path}", path, _answering({name: [token, token]}))
        for path, (template, values) in SIGNED_OUT.items():
            app.add_url_rule(path, path, _rendering(template, values))
        app.add_url_rule("/shared/link", "shared", self._shared)
        return app

    def _shared(self) -> ResponseReturnValue:
        api = "/api/admin/stats"
        return overview_page(
            "Entrance hall", list(Part), self.snapshot, stats=api, stream=f"{api}/stream"
        )


def opened(page: Page, site: EveryPage, view: View) -> None:
    """Show ``view`` with all that it has, also what one has to open.

    Not by a locator: for the first of each page, Playwright runs 300 kB of its scripts there.
    """
    page.goto(site.url + view.path)
    assert page.evaluate(OPENED, view.ready), f"{view.path}: no {view.ready}"


def _answering(answer: Any) -> Any:
    def view() -> Response:
        return jsonify(answer)

    return view


def _rendering(template: str, values: dict[str, Any]) -> Any:
    def view() -> str:
        return render_template(template, **values)

    return view
