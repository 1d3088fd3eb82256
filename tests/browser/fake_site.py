"""The real pages with fake API answers, for layouts, odd values and rare states.

No database and no workers: one thread serves templates, files and answers.
"""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo

import fakeredis
import msgspec
from flask import Flask, Response, g, jsonify, request
from werkzeug.serving import WSGIRequestHandler, make_server

from dmstats.core.clock import DAY_MS, HOUR_MS, SystemClock, day_start, to_ms
from dmstats.core.settings import Settings
from dmstats.db.admins.admin import Admin
from dmstats.db.admins.roles import Role
from dmstats.db.alerting import AlertingStore
from dmstats.db.annotations import Annotation
from dmstats.db.audit.activity_store import Activity
from dmstats.db.dashboard.history import HistoryStore
from dmstats.history.account import AccountRequest, account_history
from dmstats.history.service import HistoryService
from dmstats.ops.channels import ChannelList
from dmstats.ops.metrics import Metrics
from dmstats.web.api import alerting, history, notes
from dmstats.web.auth.access import may
from dmstats.web.auth.authenticator import Identity
from dmstats.web.middleware.problems import register_errors
from dmstats.web.middleware.security_headers import register_headers
from dmstats.web.pages.views import register_pages
from dmstats.web.schema.history_schemas import AccountHistoryQuery
from dmstats.web.schema.validation import parameters
from tests.service.admin_site import mock_mongo
from tests.service.test_alerts import Chat

JSON = dict[str, Any]
UTC_ZONE = ZoneInfo("UTC")


def rfc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def buckets(end: datetime, step: timedelta, count: int, high: int) -> list[JSON]:
    """``count`` buckets up to ``end`` in waves up to ``high``; the last one has just begun."""
    made = []
    for i in range(count):
        share = 0.55 + 0.45 * ((i * 7) % 11) / 11
        sent = round(high * share * (0.1 if i == count - 1 else 1))
        made.append(
            {"at": rfc(end - step * (count - 1 - i)), "sent": sent, "received": sent * 7 // 10}
        )
    return made


def account(index: int, used: int, **more: Any) -> JSON:
    now = datetime.now(UTC)
    names = ["lumen.studio", "northbeach.coffee", None, "velo_atelier", "marta.bakes"]
    return {
        "instagramId": f"1784140000000{index:04d}",
        "username": names[index % len(names)],
        "isActive": True,
        "createdAt": rfc(now - timedelta(days=200)),
        "dmUsed": used,
        "dmReceived": used * 7 // 10,
        "monthlyDmUsed": used // 3,
        "currentMonth": now.strftime("%Y-%m"),
        "monthlyDmLimit": [None, used // 2, used // 3, 0, used * 2][index % 5],
        "lastDMSent": rfc(now - timedelta(minutes=index)),
        "lastDMReceived": rfc(now - timedelta(minutes=2 * index)),
        "limitReachedAt": rfc(now + timedelta(days=1)) if index % 5 == 2 else None,
        "states": [[], ["near-limit", "new"], ["over-limit"], ["silent", "needs-attention"]][
            index % 4
        ],
        **more,
    }


def deliveries(number: int) -> JSON:
    """As many that were refused and that were rejected in part, and two names."""
    now = rfc(datetime.now(UTC))
    common = {"at": now, "bytes": 1234, "entries": 2, "ms": 3.21, "requestId": "0123456789abcdef"}
    refused = {**common, "group": "refused", "status": 503, "kinds": {"received": 3}, "counts": {},
               "reason": "The database does not answer.", "rejected": []}  # fmt: skip
    path = "entry[].messaging[].message.mid"
    partial = {**common, "group": "partial", "status": 200, "reason": None,
               "kinds": {"sent": 1, "received": 2}, "counts": {"received": 2, "rejected": 1},
               "rejected": [{"path": path, "kind": "message", "account": "17841400000000001"}],
               }  # fmt: skip
    times = {"firstAt": now, "lastAt": now, "keys": ["amount", "currency"]}
    names = [{"name": name, "counted": name == "payment", **times} for name in ("payment", path)]
    return {"deliveries": [refused, partial] * number, "names": names}


def lost(days: int) -> JSON:
    """Lost DMs of as many days, of all accounts and of one with a name and one without."""
    today = datetime.now(UTC).date()
    some: list[JSON] = [
        {"day": str(today - timedelta(days=n)), "sends": 12_345 + n, "late": 7 * n,
         "lost": (37, 0, 3)[n % 3], "lostShare": (0.003, 0, 0.00024)[n % 3]}
        for n in range(days)
    ]  # fmt: skip
    accounts = [
        {**day, "instagramId": f"1784140000000{n:04d}", "username": name}
        for n, day in enumerate(some) if day["lost"]
        for name in ("lumen.studio", None)
    ]  # fmt: skip
    return {"days": some, "accounts": accounts, "complete": True}


def incident(index: int, began: datetime, lasted: timedelta | None, **more: Any) -> JSON:
    told = {"channel": "slack", "state": "open", "toldAt": rfc(began), "nextAt": None,
            "attempts": 1, "problem": None}  # fmt: skip
    untold = {**told, "channel": "pagerduty 2", "toldAt": None, "attempts": 7,
              "nextAt": rfc(began), "problem": "status 503"}  # fmt: skip
    return {
        "id": f"{index:013d}-drift",
        "name": "drift",
        "title": "The counters differ from the ledger",
        "text": "The counters differ from the ledger by 3: run `dmstats audit`.",
        "beganAt": rfc(began),
        "endedAt": rfc(began + lasted) if lasted else None,
        "alerts": [told, untold],
        "runbook": {
            "steps": ["Run `dmstats audit`: it lists the differences.", "Find the cause."],
            "section": "DmstatsDrift",
        },
        **more,
    }


def snapshot(total: int = 1_234_567, **more: Any) -> JSON:
    """Figures of a service that has sent ``total`` DMs."""
    now = datetime.now(UTC)
    minute = now.replace(second=0, microsecond=0)
    hour, day = minute.replace(minute=0), minute.replace(hour=0, minute=0)
    shown: JSON = {
        "version": "7-1",
        "computedAt": rfc(now),
        "ageSeconds": 1.0,
        "stale": False,
        "source": "worker",
        "totalDMsSent": total,
        "totalDMsReceived": total * 7 // 10,
        "totalUsers": total // 50,
        "totalAccounts": total // 40 + 3,
        "activeAccounts": total // 45 + 2,
        "month": {
            "month": now.strftime("%Y-%m"),
            "sent": total // 2,
            "received": total // 3,
            "before": {"sent": total // 3, "received": total // 4},
        },
        "today": {
            "sent": total // 12,
            "received": total // 15,
            "before": {"sent": total // 10, "received": total // 16},
        },
        "lastHour": {"sent": total // 300, "received": total // 400, "before": None},
        "perMinute": total / 20_000,
        "perMinuteBefore": total / 25_000,
        "peakMinute": {"at": rfc(minute), "sent": total // 900},
        "events": {"seen": total // 3, "reaction": total // 20, "postback": 7, "unknown": 3},
        "duplicates": total // 1000,
        "rejected": total // 100_000,
        "late": total // 5000,
        "series": {
            "minutes": buckets(minute, timedelta(minutes=1), 60, total // 20_000),
            "hours": buckets(hour, timedelta(hours=1), 24, total // 400),
            "days": buckets(day, timedelta(days=1), 30, total // 30),
        },
        "topAccounts": [account(i, total // (i + 2)) for i in range(10)] if total else [],
        "population": [
            {
                "at": rfc(day - timedelta(days=30 - i)),
                "activeAccounts": total // 50 + i,
                "users": total // 60 + i,
            }
            for i in range(31)
        ],
        "since": rfc(day - timedelta(days=400)),
        "lastEventAt": rfc(now - timedelta(seconds=4)) if total else None,
        "audit": {"at": rfc(now - timedelta(minutes=3)), "drift": 0},
        "canary": None,
        "accountStates": None,
        "refresh": {"computeMs": 4.2, "dbQueries": 6},
    }
    return {**shown, **more}


def activity(high: int = 40, **more: Any) -> JSON:
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    return {
        "at": rfc(now - timedelta(minutes=2)),
        "hours": buckets(hour, timedelta(hours=1), 24, high),
        "days": buckets(hour.replace(hour=0), timedelta(days=1), 7, high * 20),
        "hourlyDmLimit": 200,
        **more,
    }


MINUTE_MS = 60_000
Counts = dict[int, tuple[int, int]]


class FakeHours:
    """Stored hours and days in waves: ``per_hour`` DMs at most, since ``since``."""

    def __init__(self, per_hour: int, since: datetime) -> None:
        self.per_hour = per_hour
        self.since = since

    def first_ms(self) -> int:
        return to_ms(self.since)

    def read(
        self, days: Iterable[int], hours: Iterable[int], minutes: Iterable[int]
    ) -> tuple[Counts, Counts, Counts]:
        return (
            {at: self._wave(at, DAY_MS) for at in days},
            {at: self._wave(at, HOUR_MS) for at in hours},
            {at + i * MINUTE_MS: self._wave(at, MINUTE_MS) for at in minutes for i in range(60)},
        )

    def _wave(self, at: int, length: int) -> tuple[int, int]:
        now = int(datetime.now(UTC).timestamp() * 1000)
        if not day_start(self.first_ms()) <= at < now:
            return 0, 0
        day = 0.55 + 0.45 * (at // DAY_MS * 7 % 11) / 11
        time_of_day = 1 if length == DAY_MS else 1.4 - abs(at % DAY_MS / HOUR_MS - 13) / 11
        passed = min(length, now - at) / HOUR_MS
        sent = round(self.per_hour * day * time_of_day * passed)
        return sent, sent * 7 // 10


class FakePast:
    """The archived days of an account, from ``hours``."""

    def __init__(self, hours: FakeHours) -> None:
        self._hours = hours

    def first_ms(self) -> int:
        return day_start(self._hours.first_ms())

    def days(self, account: str, months: Iterable[str]) -> Counts:
        starts = [to_ms(datetime.fromisoformat(f"{month}-01T00:00:00+00:00")) for month in months]
        days = [start + i * DAY_MS for start in starts for i in range(31)]
        return self._hours.read(days, (), ())[0]

    def months(self, account: str) -> dict[str, tuple[int, int]]:
        return {}


class FakeSite:
    """The attributes hold what the API answers; tests change them between requests, and the next
    test resets them."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._app = self._made()
        self.reset()
        self._server = make_server("127.0.0.1", 0, self._app, threaded=True, request_handler=Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def reset(self) -> None:
        """Answer as in the beginning."""
        self._over.set()
        self._over = threading.Event()
        self.snapshot = snapshot()
        self.accounts: list[Any] = [account(i, 900 - i) for i in range(12)]
        self.activity = activity()
        self.deliveries: JSON = {"deliveries": [], "names": []}
        self.incidents: list[JSON] = []
        self.lost: JSON = {"days": [], "accounts": [], "complete": True}
        self.imported: JSON = {}
        self.role = Role.ADMIN
        self.channels: list[str] = []
        self.alerting = AlertingStore(mock_mongo())
        self.annotations: list[Annotation] = []
        self.tested: JSON = {"channels": []}
        self.admins: JSON = {"admins": [], "you": "1"}
        self.hours = FakeHours(500, datetime.now(UTC) - timedelta(days=800))
        self.account_hours = FakeHours(40, datetime.now(UTC) - timedelta(days=200))
        self.failing: dict[str, int] = {}
        self.asked: list[dict[str, str]] = []
        self.silent_stream = False
        self._app.extensions["dmstats"] = self._services()

    def start(self) -> None:
        self._thread.start()

    def _silence(self) -> Iterator[bytes]:
        """A stream that is open, and of which no event comes."""
        over = self._over
        yield b":\n\n"
        over.wait(60)

    def stop(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()

    def _services(self) -> SimpleNamespace:
        """The parts of the service that the real views ask."""
        return SimpleNamespace(
            settings=Settings(client_debounce=0, poll_interval=2),
            clock=SystemClock(),
            reader=self,
            annotations=SimpleNamespace(between=self._annotations_between),
            alerting=self.alerting,
            channels=ChannelList([Chat("hooks.example.com")], self.alerting, "key", UTC_ZONE),
            activity_log=SimpleNamespace(add=lambda *_: None),
            histories=HistoryService(
                cast("HistoryStore", self),
                fakeredis.FakeRedis(),
                SystemClock(),
                Metrics(),
                interval=0,
            ),
        )

    def _made(self) -> Flask:
        app = Flask("site", static_folder=None)
        register_errors(app)
        register_headers(app)
        register_pages(app)
        app.register_blueprint(alerting.blueprint)
        app.add_url_rule("/api/admin/history", view_func=history.history)
        app.add_url_rule("/api/admin/annotations", view_func=notes.listing)
        app.add_url_rule("/api/admin/annotations", "note", self._note, methods=["POST"])
        app.add_url_rule("/api/admin/annotations/<name>", "note", methods=["POST"])
        app.add_url_rule(
            "/api/admin/annotations/<name>/delete", "delete_note", self._delete_note,
            methods=["POST"],
        )  # fmt: skip
        app.context_processor(lambda: {"may": may})
        app.before_request(self._sign_in)
        app.before_request(self._refuse)
        for path, answer in (
            ("stats", self._stats),
            ("stats/stream", self._stream),
            ("traffic", lambda: jsonify({})),
            ("accounts", self._accounts),
            ("accounts/<name>", self._account),
            ("accounts/import", self._import),
            ("accounts/<name>/lost", lambda name: jsonify(self.lost)),
            ("lost", lambda: jsonify(self.lost)),
            ("accounts/<name>/activity", lambda name: jsonify(self.activity)),
            ("accounts/<name>/history", self._account_history),
            ("admins", lambda: jsonify(self.admins)),
            ("deliveries", lambda: jsonify(self.deliveries)),
            ("incidents", self._incidents),
            ("incidents/<name>", self._incident),
            ("alerts/test", lambda: jsonify(self.tested)),
        ):
            app.add_url_rule(f"/api/admin/{path}", path, answer, methods=["GET", "POST", "PATCH"])
        return app

    def _sign_in(self) -> None:
        g.identity = Identity(Admin("1", "ada@example.com", False, 1, None, role=self.role))

    def _refuse(self) -> Response | None:
        for part, status in self.failing.items():
            if part in request.path:
                answer = jsonify({"detail": "MongoDB: ServerSelectionTimeoutError"})
                answer.status_code = status
                return answer
        return None

    def first_ms(self) -> int | None:
        """With ``read``, the part of a HistoryStore."""
        return self.hours.first_ms()

    def read(self, *starts: Iterable[int]) -> tuple[Counts, Counts, Counts]:
        return self.hours.read(*starts)

    def _stats(self) -> Response:
        return Response(msgspec.json.encode(self.snapshot), mimetype="application/json")

    def _stream(self) -> Response:
        if not self.silent_stream:
            return Response(status=503)
        return Response(self._silence(), mimetype="text/event-stream")

    def _accounts(self) -> Response:
        start = int(request.args.get("cursor", 0))
        end = start + int(request.args.get("limit", 50))
        more = str(end) if end < len(self.accounts) else None
        found = self.accounts[start:end]
        totals = {"at": rfc(datetime.now(UTC)), "accounts": len(self.accounts),
                  "monthlyDmUsed": 1234, "dmUsed": 56_789, "dmReceived": 4321}  # fmt: skip
        self.asked.append(request.args.to_dict())
        return jsonify({"accounts": found, "nextCursor": more, "complete": True, "totals": totals})

    def _annotations_between(self, start: int, end: int) -> tuple[list[Annotation], bool]:
        found = sorted(self.annotations, key=lambda each: each.at)
        return [each for each in found if start <= each.at < end], True

    def _note(self, name: str = "") -> Response:
        self._delete_note(name)
        asked = request.get_json()
        at = to_ms(datetime.fromisoformat(asked["at"]))
        key = name or f"note-{len(self.annotations)}"
        self.annotations.append(Annotation(key, "note", at, asked["text"], "ada@example.com"))
        return jsonify({})

    def _delete_note(self, name: str) -> Response:
        self.annotations = [each for each in self.annotations if each.id != name]
        return jsonify({})

    def _incidents(self) -> Response:
        return jsonify({"incidents": self.incidents, "complete": True, "channels": self.channels})

    def _incident(self, name: str) -> Response:
        return jsonify(next(each for each in self.incidents if each["id"] == name))

    def _account(self, name: str) -> Response:
        known = (each for each in self.accounts if isinstance(each, dict))
        found = next((each for each in known if each["instagramId"] == name), {})
        if request.method == "PATCH":
            found.update(request.get_json())
        return jsonify(found)

    def _import(self) -> Response:
        assert request.content_type == "text/csv"
        return jsonify({**self.imported, "applied": "apply" in request.args})

    def _account_history(self, name: str) -> Response:
        asked = parameters(AccountHistoryQuery, request)
        now = to_ms(datetime.fromisoformat(self.activity["at"]))
        first = day_start(now) - 7 * DAY_MS
        days, hours, _ = self.account_hours.read(
            range(first, now, DAY_MS), range(first, now, HOUR_MS), ()
        )
        question = AccountRequest(
            name, asked["weekStart"], asked["range"], asked["from_"], asked["to"], asked["unit"],
            asked["compare"], asked["band"],
        )  # fmt: skip
        found = account_history(
            question, Activity(now, first, hours, days), FakePast(self.account_hours), days_kept=731
        )
        return jsonify(found)

    def current(self) -> Any:
        """The reader's part: the snapshot in the page itself."""
        return SimpleNamespace(body=msgspec.json.encode(copy.deepcopy(self.snapshot)))


Site = TypeVar("Site", bound=FakeSite)


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # a connection for many files

    def log_request(self, *_args: object, **_kwargs: object) -> None:
        pass


@contextlib.contextmanager
def started(site: Site) -> Iterator[Site]:
    site.start()
    try:
        yield site
    finally:
        site.stop()
