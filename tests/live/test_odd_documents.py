"""Every field of an account by every BSON type, on a real service: no value costs another."""

from __future__ import annotations

import contextlib
import itertools
import json
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import urllib3
from pymongo.errors import DuplicateKeyError, OperationFailure

from dmstats.core.clock import SystemClock, rfc3339
from dmstats.db import typed
from dmstats.db.counting.ledger import batched
from dmstats.db.counting.reconciliation import PlaceSums, read_place_sums
from dmstats.db.dashboard.account_order import SORTS
from dmstats.db.dashboard.snapshot_store import SnapshotStore
from dmstats.snapshot.body import check
from dmstats.snapshot.encoded import Malformed, cached_from_store
from dmstats.web.schema.account_schemas import AccountsAnswer
from dmstats.web.schema.api_schemas import AccountAnswer
from dmstats.web.schema.snapshot_schema import Snapshot
from tests.auditing import Auditing
from tests.bson_values import ODD_VALUES
from tests.servers import Redis, Secantus, running, wait_until
from tests.sse import Stream
from tests.webserver import ACCOUNT, TOKEN, WebServer, body, serving

pytestmark = [pytest.mark.live, pytest.mark.slow(40)]

FIELDS = {
    "ids": ("instagramId", "username", "userId", "_id"),
    "numbers": ("dmUsed", "monthlyDmUsed", "dmReceived", "monthlyDmLimit"),
    "times": ("currentMonth", "lastDMSent", "lastDMReceived", "createdAt"),
    "others": ("isActive", "ledgerBase"),
}
"""Those of one kind are tried together."""
OTHERS = 40
PAGE = 100
"""With the odd ones, three pages of the list."""

ALL_SORTS = [sign + field for field in SORTS for sign in ("", "-")]


class Site:
    """A service, and what its admins and scripts ask of it."""

    def __init__(self, web: WebServer) -> None:
        self.web = web
        self.accounts = web.mongo.db["instagram_accounts"]
        self.backlog = web.mongo.db["dmstats_account_backlog"]
        self.auditing = Auditing(web.mongo, SystemClock())
        self._http = urllib3.PoolManager(retries=False)

    def get(self, path: str, *, token: str = TOKEN) -> Any:
        answer = self._http.request(
            "GET", self.web.url + path, headers={"Authorization": f"Bearer {token}"}, timeout=20.0
        )
        assert answer.status == 200, (path, answer.status, answer.data[:300])
        return answer.data

    def refresh(self) -> dict[str, Any]:
        """The figures of a refresh that was made now; readers have them within 2 s."""
        secret, began = self.web.environ["CRON_SECRET"], rfc3339(SystemClock().now_ms())

        def refreshed() -> bool:
            # A call while the leader refreshes gets the figures of that refresh, begun before.
            self.get("/api/cron/refresh-admin-stats", token=secret)
            return str(self.stats()["computedAt"]) >= began

        wait_until(refreshed, seconds=10)
        return self.stats()

    def reload(self) -> None:
        """As a new worker begins, with Redis empty: what it makes of the stored snapshot."""
        stored = SnapshotStore(self.web.mongo).load()
        if stored is not None:
            with contextlib.suppress(Malformed):
                cached_from_store(stored)

    def stats(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.get("/api/admin/stats"))
        Snapshot().load(shown)
        return shown

    def listed(self, sort: str, valid: set[str]) -> list[dict[str, Any]]:
        """All accounts of all pages. Those that are not in ``valid`` are validated."""
        rows: list[dict[str, Any]] = []
        cursor = ""
        while len(rows) < 2000:
            page = json.loads(self.get(f"/api/admin/accounts?sort={sort}&limit={PAGE}{cursor}"))
            new = [row for row in page["accounts"] if repr(row) not in valid]
            AccountsAnswer().load(page | {"accounts": new})
            valid.update(map(repr, new))
            rows += page["accounts"]
            if page["nextCursor"] is None:
                return rows
            cursor = f"&cursor={page['nextCursor']}"
        pytest.fail(f"{sort}: the pages go round in circles")

    def deliver(self, ids: list[str]) -> None:
        """A sent and a received DM for each account, sent until they are counted.

        In deliveries of a size that a busy machine counts within the time limit of a commit.
        """
        before = self.sums()["ledger"]
        for some in batched(ids, 20):
            wait_until(partial(self._taken, delivery(some)), seconds=30)
        after = self.sums()
        assert (after["ledger"] - before) == PlaceSums(len(ids), len(ids))
        assert after["ledger"] == after["hours"] == after["days"] == after["global"]

    def _taken(self, raw: bytes) -> bool:
        return self.web.send(raw).status == 200

    def sums(self) -> dict[str, PlaceSums]:
        """The DMs in each place that counts them."""
        return read_place_sums(self.web.mongo, self.auditing.ledger)

    def fill(self, fields: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """Put usual accounts and odd ones there; the odd ones that were stored, by their field."""
        self.backlog.delete_many({})  # of the accounts that are deleted here
        self.accounts.delete_many({"instagramId": {"$ne": ACCOUNT}})
        self.accounts.insert_many([account(f"17{n:06}", n) for n in range(OTHERS)])
        stored = {}
        for number, field in enumerate(fields):
            ids = f"99{number:02}"
            odd = [account(f"{ids}{n:04}", n % 9) | {field: v} for n, v in enumerate(ODD_VALUES)]
            missing = account(f"{ids}9999", 3)
            missing.pop(field, None)
            for document in [*odd, missing]:
                # Some values are refused: as an _id, by a unique index, by the embedded database.
                with contextlib.suppress(OperationFailure, DuplicateKeyError):
                    self.accounts.insert_one(document)
            its: Any = {"$regex": f"^{ids}"}
            if field == "instagramId":
                its = {"$not": {"$regex": "^17|99"}}
            stored[field] = list(self.accounts.find({"instagramId": its}))
        return stored


def delivery(ids: list[str]) -> bytes:
    """A sent and a received DM for each account."""
    entries = []
    for name in ids:
        for sent in (True, False):
            mid = f"{name} {sent} {uuid.uuid4().hex}"
            entries += json.loads(body(mid, account=name, sent=sent))["entry"]
    return json.dumps({"object": "instagram", "entry": entries}).encode()


def account(instagram_id: str, number: int) -> dict[str, Any]:
    return {
        "instagramId": instagram_id, "username": f"p{number:03}", "isActive": True,
        "dmUsed": 100 + number, "monthlyDmUsed": 1, "currentMonth": f"{datetime.now(UTC):%Y-%m}",
        "createdAt": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number),
        "monthlyDmLimit": 1000, "dmReceived": 3,
    }  # fmt: skip


@contextlib.contextmanager
def started(folder: Path, servers: tuple[Secantus, Redis]) -> Iterator[Site]:
    quiet = {"STATS_REFRESH_INTERVAL": "3600"}
    with serving(WebServer(folder, *servers, settings=quiet)) as web:
        assert web.post("first").status == 200
        yield Site(web)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Secantus, Redis]]:
    folder = tmp_path_factory.mktemp("servers")
    database, redis = Secantus(folder / "mongo", synced=False), Redis(folder / "redis")
    with running(database), running(redis):
        yield database, redis


@pytest.fixture(scope="module")
def site(
    servers: tuple[Secantus, Redis], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with started(tmp_path_factory.mktemp("odd"), servers) as site:
        yield site


@pytest.fixture(scope="module")
def damaged_site(
    servers: tuple[Secantus, Redis], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """One whose snapshot version goes back, which readers must not accept at once."""
    with started(tmp_path_factory.mktemp("damaged"), servers) as site:
        site.auditing.audit()  # as each test does at its end
        yield site


@pytest.mark.parametrize("kind", FIELDS)
def test_no_value_affects_another(site: Site, kind: str) -> None:
    odd_of = site.fill(FIELDS[kind])
    few = {field: len(found) for field, found in odd_of.items() if len(found) <= 20}
    assert few == {}
    odd = [each for found in odd_of.values() for each in found]
    number = site.accounts.count_documents({})
    shown = site.refresh()
    assert shown["totalAccounts"] == number
    site.get("/")
    stream = Stream(site.web.port, TOKEN)
    assert stream.next_data("stats")["version"] == shown["version"]
    stream.close()
    valid: set[str] = set()
    for sort in ALL_SORTS:
        rows = site.listed(sort, valid)
        ids = [row["documentId"] for row in rows]
        assert len(set(ids)) == len(ids) == number, sort
    assert shown["activeAccounts"] == sum(row["isActive"] for row in rows)
    for row in rows:
        if row["needsAttention"] and row["instagramId"] and "/" not in row["instagramId"]:
            path = f"/api/admin/accounts/{quote(row['instagramId'], safe='')}"
            AccountAnswer().load(json.loads(site.get(path)))
    site.get("/api/admin/accounts?query=p0")
    wait_until(lambda: site.web.post(f"with odd {kind}").status == 200, seconds=30)
    site.deliver([ACCOUNT, *(each["instagramId"] for each in odd if is_usual(each))])
    for found in odd_of.values():
        for each in filter(is_usual, found[::10]):
            site.get(f"/accounts/{each['instagramId']}")
    # A DM makes some values usual ones, for instance the month.
    tried = {"attention": {"$ne": True}}
    wait_until(lambda: site.backlog.find_one(tried) is None, seconds=60, every=0.5)
    attention = {
        row["documentId"]: row["needsAttention"] for row in site.listed(ALL_SORTS[0], valid)
    }
    outcome = site.auditing.audit()
    assert (outcome.drift, outcome.differences) == (0, [])
    listed = {each.key for each in outcome.odd}
    for field, found in odd_of.items():
        ids = [typed.document_id(each["_id"]) for each in found]
        unreadable = {key for key in ids if field in attention[key]}
        assert unreadable <= listed or field == "instagramId", field


def is_usual(found: dict[str, Any]) -> bool:
    """Whether webhooks can name the account."""
    name = found.get("instagramId")
    return isinstance(name, str) and name.startswith("99")


Document = dict[str, Any]
Place = tuple[str, str, str]
"""A collection, the ``_id`` of a document there (the newest one's without), and a field."""

OWN: list[Place] = [
    ("stats_cache", "global", field)
    for field in ("dmsReceived", "events", "lastEventAt", "canaryAt", "late", "duplicates")
] + [
    ("stats_cache", "census", field) for field in ("accounts", "users", "inactive", "users.n")
] + [
    ("stats_cache", "audit", field) for field in ("at", "drift", "odd", "oddDocuments")
] + [
    ("stats_cache", "canary", "countedMs"),
    *(("stats_cache", "snapshot", field) for field in (
        "term", "seq", "computedAt", "body", "floor", "population", "body.totalDMsSent",
        "body.series", "body.topAccounts")),
    *(("dmstats_hours", "", field) for field in ("received", "minutes", "events")),
    ("dmstats_days", "", "received"),
    ("dmstats_ledger_archive", "state", "closing"),
    ("dmstats_ledger_archive", "state", "generation"),
    ("dmstats_audit_runs", "repairs", "version"), ("dmstats_audit_runs", "repairs", "hours"),
    ("dmstats_account_changes", ACCOUNT, "sent"), ("dmstats_account_changes", ACCOUNT, "month"),
    ("dmstats_account_activity", "index", "chunks"), ("dmstats_account_activity", "index", "spans"),
]  # fmt: skip
FEW_VALUES: list[Any] = [None, float("nan"), 2**62, {"a": 1}, "x"]


def rounds() -> list[list[Place]]:
    """All places, few times several at once: of a document one, whose value may decide whether the
    others are read."""
    of_document: dict[tuple[str, str], list[Place]] = {}
    for place in OWN:
        of_document.setdefault(place[:2], []).append(place)
    each = itertools.zip_longest(*of_document.values())
    return [[place for place in places if place] for places in each]


@pytest.mark.parametrize("places", rounds())
def test_a_bad_value_of_ours_affects_only_itself(damaged_site: Site, places: list[Place]) -> None:
    site = damaged_site
    db = site.web.mongo.db
    before: dict[Place, tuple[Document, Document | None]] = {}
    for place in places:
        collection, key, _ = place
        found = db[collection].find_one({"_id": key} if key else {}, sort=[("_id", -1)])
        before[place] = ({"_id": found["_id"] if found else key}, found)
    value: Any = None
    try:
        for value in FEW_VALUES:
            for (collection, _, field), (which, found) in before.items():
                if found is not None:
                    db[collection].replace_one(which, found, upsert=True)
                db[collection].update_one(which, {"$set": {field: value}}, upsert=True)
            site.reload()
            secret = site.web.environ["CRON_SECRET"]
            site.get("/api/cron/refresh-admin-stats", token=secret)
            stored = SnapshotStore(site.web.mongo).load()
            assert stored is not None
            check(stored.body)
        site.get(f"/api/admin/accounts/{ACCOUNT}/activity")
        outcome = site.auditing.audit()
        assert all(each.place not in {"accounts", "months"} for each in outcome.differences)
    except Exception as error:
        error.add_note(f"{value!r} in one of {places}")
        raise
    finally:
        for (collection, _, _), (which, found) in before.items():
            if found is None:
                db[collection].delete_one(which)
            else:
                db[collection].replace_one(which, found, upsert=True)
    site.auditing.audit(repair=True)
    assert site.auditing.audit().drift == 0
