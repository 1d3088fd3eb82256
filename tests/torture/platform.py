"""A second writer: the host platform, which changes, replaces and deletes its own accounts."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from bson import Decimal128, Int64, ObjectId
from bson.codec_options import CodecOptions
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from dmstats.db.client import DEFAULT_DATABASE

Account = dict[str, Any]

COUNTERS = ("dmUsed", "dmReceived", "monthlyDmUsed")
FOLLOWED = ("dmUsed", "dmReceived")
"""The counters that the recount checks. Only the audit checks monthly ones, which restart."""
ODD_VALUES: Sequence[Any] = (
    None, True, "12", "", 1.5, float("nan"), float("inf"), Decimal128("1.5"), Decimal128("NaN"),
    Int64(2**62), [], [3], {}, {"n": 1}, b"5", ObjectId("0" * 24), datetime(2026, 1, 1, tzinfo=UTC),
)  # fmt: skip
"""Values to which nothing can be added exactly."""
WHOLE_TYPES: Sequence[Callable[[int], Any]] = (int, Int64, float, lambda n: Decimal128(str(n)))

THREADS = 4
SERVER_SECONDS = 2.0
NO_SUCH_TRANSACTION = 251
MAX_TRIES = 50
AGAIN_SECONDS = 0.02


class Platform:
    """Writes to ``accounts`` (Instagram ids) ``rate`` times a second until :meth:`stop`.

    ``changed`` holds by how much it changed each account's counters in total. It reads and writes
    an account in one transaction. ``uncertain`` are accounts of which a write was not answered, so
    that it may have happened.
    """

    def __init__(
        self, uri: Callable[[], str], accounts: Sequence[str], *, seed: int, rate: float
    ) -> None:
        self.changed: Counter[tuple[str, str]] = Counter()
        self.uncertain: set[str] = set()
        self.writes: Counter[str] = Counter()
        self._writers = [
            _Writer(self, uri, accounts[part::THREADS], random.Random(seed + part), rate / THREADS)
            for part in range(THREADS)
        ]

    def start(self) -> None:
        """Begin to write."""
        for writer in self._writers:
            writer.start()

    def stop(self) -> None:
        """End, and leave a whole number in each counter."""
        for writer in self._writers:
            writer.over.set()
        for writer in self._writers:
            writer.join()
            if writer.failure:
                raise writer.failure


class _Writer(threading.Thread):
    """Writes to its own accounts only, so that each account's changes are in order."""

    def __init__(
        self,
        platform: Platform,
        uri: Callable[[], str],
        accounts: Sequence[str],
        choices: random.Random,
        rate: float,
    ) -> None:
        super().__init__(daemon=True)
        self._platform = platform
        self._uri = uri
        self._ids = accounts
        self._random = choices
        self._rate = rate
        self._client: MongoClient[Account] | None = None
        self._before_odd: dict[tuple[str, str], int] = {}
        self.over = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Write at the rate, without making up for the time that the database was away."""
        try:
            due = time.monotonic()
            while not self.over.is_set():
                due = max(due + 1 / self._rate, time.monotonic() - 1)
                self.over.wait(max(0.0, due - time.monotonic()))
                (kind,) = self._random.choices(list(KINDS), list(KINDS.values()))
                self._attempt(kind, self._random.choice(self._ids))
            odd = {account for account, _ in self._before_odd}
            for account in sorted(odd | self._platform.uncertain.intersection(self._ids)):
                while not self._attempt("lowered", account):
                    time.sleep(SERVER_SECONDS / 10)
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self._disconnect()

    def _attempt(self, kind: str, account: str) -> bool:
        """One write; whether it was done."""
        for _ in range(MAX_TRIES):
            try:
                before, after = self._write(kind, account)
            except DuplicateKeyError:
                return True  # the service has created the account
            except OperationFailure as error:
                if error.code == NO_SUCH_TRANSACTION:
                    # The driver sent the commit again, to a database that was killed meanwhile: it
                    # may have taken the first one.
                    self._platform.uncertain.add(account)
                    return False
                # A conflict with a commit of the service.
                time.sleep(self._random.uniform(0, AGAIN_SECONDS))
            except PyMongoError:
                self._platform.uncertain.add(account)
                self._disconnect()  # the database may return on another port
                return False
            else:
                self._note(account, before, after)
                self._platform.writes[kind] += 1
                return True
        self._platform.writes["gave up"] += 1
        return False

    def _write(self, kind: str, account: str) -> tuple[Account | None, Account]:
        """The account before and after one transaction.

        Not one operation that returns the document before it: the embedded database's may be older
        than the one that it changes.
        """
        accounts, key = self._accounts(), {"instagramId": account}
        document: Account
        with self._session() as session, session.start_transaction():
            before = accounts.find_one(key, session=session)
            if kind == "connected":
                document = key | {"isActive": True, "createdAt": datetime.now(UTC), "dmUsed": 0}
                accounts.insert_one(document, session=session)
                return {}, document
            if before is None:
                return None, {}
            if kind == "deleted":
                accounts.delete_one(key, session=session)
                return before, {}
            if kind == "replaced":
                document = {k: v for k, v in before.items() if k != "ledgerBase"}
                document["replacedAt"] = datetime.now(UTC)
                accounts.replace_one(key, document, session=session)
                return before, document
            values = self._values(kind)
            accounts.update_one(key, {"$set": values}, session=session)
            return before, before | values

    def _values(self, kind: str) -> Account:
        if kind == "lowered":
            return dict.fromkeys(COUNTERS, 0)
        if kind == "odd":
            return {self._random.choice(COUNTERS): self._random.choice(ODD_VALUES)}
        if kind == "odd base":
            return {"ledgerBase": self._random.choice(ODD_VALUES)}
        if kind == "set":
            number = self._random.choice(WHOLE_TYPES)(self._random.randint(0, 5000))
            return {self._random.choice(COUNTERS): number}
        limit = self._random.choice([1000, "1000", 0, None, Int64(50)])
        named = f"name {self._random.randint(1, 99)}"
        return {"username": named, "monthlyDmLimit": limit, "isActive": self._random.random() < 0.9}

    def _note(self, account: str, before: Account | None, after: Mapping[str, Any]) -> None:
        """Add to ``changed`` what the write changed. While a counter is odd, the service does not
        add to it, so that it continues from its value before."""
        if before is None or account in self._platform.uncertain:
            return
        for field in COUNTERS:
            was, becomes = whole(before.get(field, 0)), whole(after.get(field, 0))
            if was is None:
                was = self._before_odd.pop((account, field))
            if becomes is None:
                self._before_odd[account, field] = was
            elif field in FOLLOWED:
                self._platform.changed[account, field] += becomes - was

    def _connected(self) -> MongoClient[Account]:
        if self._client is None:
            self._client = MongoClient(
                self._uri(), retryWrites=False, serverSelectionTimeoutMS=SERVER_SECONDS * 1000,
                socketTimeoutMS=10_000,
            )  # fmt: skip
        return self._client

    def _session(self) -> ClientSession:
        return self._connected().start_session(causal_consistency=False)

    def _accounts(self) -> Collection[Account]:
        options: CodecOptions[Account] = CodecOptions(tz_aware=True)
        database = self._connected()[DEFAULT_DATABASE]
        return database.get_collection("instagram_accounts", options)

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(PyMongoError):
                client.close()


KINDS: Mapping[str, float] = {
    "described": 6,
    "set": 5,
    "lowered": 2,
    "replaced": 3,
    "deleted": 1.5,
    "connected": 1.5,
    "odd": 1,
    "odd base": 0.3,
}
"""What is done to a random account, and its relative frequency."""


def whole(value: object) -> int | None:
    """A counter's whole number, of any numeric type; None if the service cannot add to it."""
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return int(number) if number.is_finite() and number == int(number) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if abs(value) < 2**53 else None
