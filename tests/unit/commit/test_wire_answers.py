"""What comes of each answer that MongoDB may give to a step of a commit, by the real driver."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import gevent
import msgspec
import pytest
from pymongo import common

from dmstats.commit.batch import CommitOutcome
from dmstats.commit.batch_writer import PREFETCH_BATCHES, BatchWriter
from dmstats.commit.group_commit import Committer
from dmstats.core.clock import SystemClock, to_datetime
from dmstats.core.errors import Unavailable
from dmstats.core.records import SENT, LedgerRow
from dmstats.core.settings import Settings
from dmstats.db.client import BULK_WRITE_WIRE_VERSION, Mongo, connect
from dmstats.db.counting import batches
from dmstats.db.counting.batches import BULK_ROWS, Batches
from dmstats.db.counting.ledger import Ledger
from dmstats.db.transactions import Transactions
from dmstats.ops.metrics import Metrics
from tests.wire import (
    BACKLOG,
    BULK,
    TRANSIENT,
    Answer,
    WireServer,
    bulk_error,
    concern_error,
    error,
    wire_server,
    write_error,
)

EVENTS, POSTS = 200, 8
SMALLER = EVENTS // 4
"""The batches after one that ran out of time."""
WAIT_SECONDS = 30.0
RETRYABLE = "RetryableWriteError"
STATEMENTS = ("read accounts", "accounts", "totals", "ledger", "hours", "days")
"""The statements of the transaction, in their order."""
ELECTION = (10107, 13435, 11600, 11602, 189, 91)
"""NotWritablePrimary, NotPrimaryNoSecondaryOk, InterruptedAtShutdown,
InterruptedDueToReplStateChange, PrimarySteppedDown, ShutdownInProgress."""


class Case(msgspec.Struct, frozen=True):
    """One row: the ``answers`` to a ``step``, and what must come of them.

    ``again``: the step gets the last answer each time. ``seconds`` is the time that a request
    waits. ``result`` is how the events of the first round are answered: ``sent``, ``duplicates``,
    ``rejected`` or ``503``. ``counted`` is whether they are durable then. ``attempts`` and
    ``commits`` are how often a transaction was begun and its commit sent; None where that depends
    on the time. ``batch`` is the size of the batch after it.
    """

    step: str
    answers: Sequence[Answer]
    result: str = "sent"
    attempts: int | None = 1
    commits: int | None = 1
    counted: bool = True
    batch: int = EVENTS
    again: bool = False
    seconds: float = WAIT_SECONDS
    steps: Mapping[str, Sequence[Answer]] = {}


def once(step: str, reply: dict[str, Any], **expected: Any) -> Case:
    return Case(step, [Answer(reply)], **expected)


def conflict(step: str, reply: dict[str, Any]) -> Case:
    """The transaction is gone, and begun again."""
    return once(step, reply, attempts=2)


def lost(step: str, *, applied: bool, times: int = 1, **expected: Any) -> Case:
    return Case(step, [Answer(lost=True, applied=applied)] * times, **expected)


def endless(step: str, reply: dict[str, Any], **expected: Any) -> Case:
    """The answer stays the same until the requests have waited as long as they may."""
    told: dict[str, Any] = {
        "result": "503", "attempts": None, "commits": 0, "counted": False, "batch": SMALLER
    }  # fmt: skip
    return Case(step, [Answer(reply)], again=True, seconds=1.0, **(told | expected))


CASES: dict[str, Case] = {
    "no fault": Case("commit", []),
    # The collection of the day, and the look-up, are outside of the transaction.
    "create: exists": once("create", error(48)),
    "create: not a primary": once(
        "create", error(10107), result="503", attempts=0, commits=0, counted=False, batch=SMALLER
    ),
    "look up: connection lost": lost("look up", applied=False),
    "look up: out of time": once(
        "look up", error(50), result="503", attempts=0, commits=0, counted=False, batch=SMALLER
    ),
    **{f"look up: {code}": once("look up", error(code)) for code in ELECTION},
    # Conflicts, with MongoDB's label and (other engines) without.
    **{f"{step}: 112": conflict(step, error(112, TRANSIENT)) for step in STATEMENTS},
    **{f"{step}: interrupted": conflict(step, error(11601)) for step in STATEMENTS},
    **{
        f"{step}: {code} {' '.join(labels)}".strip(): conflict(step, error(code, *labels))
        for step in ("totals", "accounts")
        for code, labels in (
            (112, ()),
            (251, (TRANSIENT,)),
            (251, ()),
            (290, ()),
            (50, ()),
            (24, (TRANSIENT,)),  # LockTimeout
            (246, (TRANSIENT,)),  # SnapshotUnavailable
        )
    },
    **{f"{step}: connection lost": lost(step, applied=False, attempts=2) for step in STATEMENTS},
    **{f"{step}: answer lost": lost(step, applied=True, attempts=2) for step in STATEMENTS},
    **{f"totals: {code}": conflict("totals", error(code, TRANSIENT)) for code in ELECTION},
    # Half a success: the command was carried out, one of its writes was not.
    "ledger: write conflict of one row": conflict("ledger", write_error(112, TRANSIENT)),
    "ledger: another committer wrote a row": Case(
        "ledger", [Answer(write_error(11000, keyPattern={"_id": 1}))], attempts=2
    ),
    "ledger: duplicate key with label": conflict(
        "ledger", write_error(11000, TRANSIENT, keyPattern={"_id": 1})
    ),
    "ledger: duplicate key of the whole command": conflict("ledger", error(11000)),
    "ledger: refused by a validator": once("ledger", write_error(121), attempts=3, commits=2),
    "accounts: another process created one": conflict(
        "accounts", write_error(11000, keyPattern={"instagramId": 1})
    ),
    "accounts: another unique index": conflict(
        "accounts", write_error(11000, keyPattern={"userId": 1})
    ),
    "accounts: refused by a validator": conflict("accounts", write_error(121)),
    "hours: another process created it": conflict(
        "hours", write_error(11000, keyPattern={"_id": 1})
    ),
    "totals: another process created it": conflict(
        "totals", write_error(11000, keyPattern={"_id": 1})
    ),
    # The commit. While connections break, the driver repeats it until the deadline. The commit path
    # repeats it twice where its outcome is unknown.
    **{
        f"commit: {code}": once("commit", error(code, *labels), attempts=2, commits=2)
        for code, labels in ((112, (TRANSIENT,)), (251, (TRANSIENT,)), (290, ()), (11601, ()))
    },
    "commit: connection lost before": lost("commit", applied=False, commits=2),
    "commit: answer lost": lost("commit", applied=True, commits=2),
    "commit: answer lost thrice": lost("commit", applied=True, times=3, commits=4),
    "commit: answer always lost": Case(
        "commit", [Answer(lost=True, applied=True)],
        again=True, seconds=3.0, result="503", commits=None, batch=SMALLER,
    ),
    "commit: never arrives": Case(
        "commit", [Answer(lost=True)],
        again=True, seconds=1.0, result="503", commits=None, counted=False, batch=SMALLER,
    ),
    **{
        f"commit: {code}": Case("commit", [Answer(error(code, RETRYABLE))], commits=2)
        for code in ELECTION
    },
    "commit: done, then shut down": Case(
        "commit", [Answer(error(91, RETRYABLE), applied=True)], commits=2
    ),
    "commit: done, out of time": Case("commit", [Answer(error(50), applied=True)], commits=2),
    "commit: done, always out of time": Case(
        "commit", [Answer(error(50), applied=True)],
        again=True, result="503", commits=3, batch=SMALLER,
    ),
    "commit: not replicated in time": Case(
        "commit", [Answer(concern_error(64, wtimeout=True), applied=True)], commits=2
    ),
    "commit: never replicated in time": Case(
        "commit", [Answer(concern_error(64, wtimeout=True), applied=True)],
        again=True, result="503", commits=3, batch=SMALLER,
    ),
    "commit: done, then stepped down while replicating": Case(
        "commit", [Answer(concern_error(91, RETRYABLE), applied=True)], commits=2
    ),
    **{
        f"commit: write concern impossible ({code})": Case(
            "commit", [Answer(concern_error(code), applied=True)], result="503", batch=SMALLER
        )
        for code in (79, 100)  # UnknownReplWriteConcern, UnsatisfiableWriteConcern
    },
    # Contended for longer than a request waits.
    **{
        f"{step}: {code} each time": endless(step, error(code, *labels))
        for step, code, labels in (
            ("totals", 112, (TRANSIENT,)),
            ("ledger", 50, ()),
            ("days", 290, ()),
        )
    },
    "accounts: 112 each time": Case(  # the accounts' increments wait in the backlog
        "accounts", [Answer(error(112, TRANSIENT))], again=True, attempts=3
    ),
    "totals: not allowed": once(
        "totals", error(13), result="503", commits=0, counted=False, batch=SMALLER
    ),
    "accounts: an unknown error": once(
        "accounts", error(8), result="503", commits=0, counted=False, batch=SMALLER
    ),
}  # fmt: skip


class Sender:
    """Sends events in :data:`POSTS` concurrent requests to one committer."""

    def __init__(self, server: WireServer, mongo: Mongo, seconds: float) -> None:
        clock = SystemClock()
        self.server = server
        self.transactions = Transactions(mongo)
        store = Batches(mongo, Ledger(mongo, retention_hours=168), self.transactions, clock)
        self.writer = BatchWriter(store, clock, lambda in_a_row: None)
        self.committer = Committer(self.writer, clock, Metrics(), commit_seconds=seconds)
        self.now_ms = clock.now_ms()
        self.day = to_datetime(self.now_ms).strftime("%Y%m%d")

    def send(self, prefix: str, events: int = EVENTS) -> Counter[str]:
        """How many of ``events`` were answered how."""
        made = [self.row(f"{prefix}{n}") for n in range(events)]
        size = max(1, events // POSTS)
        jobs = [
            gevent.spawn(self._submit, made[first : first + size])
            for first in range(0, events, size)
        ]
        gevent.joinall(jobs, raise_error=True)
        return sum((job.value for job in jobs), Counter())

    def row(self, name: str) -> LedgerRow:
        return LedgerRow(name.encode().rjust(20), self.day, "a", SENT, self.now_ms, self.now_ms)

    def _submit(self, rows: list[LedgerRow]) -> Counter[str]:
        try:
            outcome: CommitOutcome = self.committer.submit(rows)
        except Unavailable:
            return Counter({"503": len(rows)})
        return Counter(sent=outcome.sent, duplicates=outcome.duplicates, rejected=outcome.rejected)

    def close(self) -> None:
        self.committer.stop(seconds=5)
        self.transactions.close()


# One message from the totals on, where the server has it. Refused, it is sent again in separate
# messages, which show what is refused.
BULK_CASES: dict[str, Case] = {
    "no fault": Case(BULK, []),
    **{f"{code}": conflict(BULK, error(code, TRANSIENT)) for code in (112, 251, 24, *ELECTION)},
    **{f"{code}, no label": conflict(BULK, error(code)) for code in (112, 251, 290, 50, 11601)},
    "connection lost": lost(BULK, applied=False, attempts=2),
    "answer lost": lost(BULK, applied=True, attempts=2),
    **{
        f"{code} of write {index}": conflict(BULK, bulk_error(code, index, keyPattern={"_id": 1}))
        for code in (112, 11000)
        for index in (0, 1, EVENTS + 1)
    },
    "11000 as a whole": conflict(BULK, error(11000)),
    **{
        f"{code} of write {index}": once(BULK, bulk_error(code, index), attempts=2)
        for code in (2, 14, 121)
        for index in (0, 1, EVENTS + 1)
    },
    "refused as a whole": once(BULK, error(10334), attempts=2),
    "a row refused by a validator": Case(
        BULK, [Answer(bulk_error(121, 1))], steps={"ledger": [Answer(write_error(121))]},
        attempts=4, commits=2,
    ),
    "not allowed": once(BULK, error(13), result="503", commits=0, counted=False, batch=SMALLER),
    "112 each time": endless(BULK, error(112, TRANSIENT)),
    "50 each time": endless(BULK, error(50)),
}  # fmt: skip


@pytest.fixture
def wire_version() -> int:
    """That of MongoDB 7.0."""
    return 21


@pytest.fixture
def large_bulk_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BULK_ROWS", EVENTS)


@pytest.fixture
def server(wire_version: int) -> Iterator[WireServer]:
    with wire_server(wire_version) as server:
        yield server


@pytest.fixture
def mongo(server: WireServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mongo]:
    # The driver looks for a new primary at most this often; its default is half a second.
    monkeypatch.setattr(common, "MIN_HEARTBEAT_INTERVAL", 0.02)
    uri = f"mongodb://{server.address}/test?replicaSet=rs"
    with closing(connect(Settings(mongodb_uri=uri))) as mongo:
        yield mongo


def sender_of(server: WireServer, mongo: Mongo, seconds: float = WAIT_SECONDS) -> Sender:
    sender = Sender(server, mongo, seconds)
    assert mongo.transactional()
    return sender


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_answer_of_the_database(case: Case, server: WireServer, mongo: Mongo) -> None:
    check(case, server, mongo)
    assert server.steps(BULK) == 0


@pytest.mark.usefixtures("large_bulk_writes")
@pytest.mark.parametrize("wire_version", [BULK_WRITE_WIRE_VERSION])
@pytest.mark.parametrize("case", BULK_CASES.values(), ids=BULK_CASES)
def test_an_answer_to_a_bulk_write(case: Case, server: WireServer, mongo: Mongo) -> None:
    check(case, server, mongo)
    assert server.steps(BULK) >= server.steps("commit") - 2


def check(case: Case, server: WireServer, mongo: Mongo) -> None:
    with closing(sender_of(server, mongo, case.seconds)) as sender:
        server.answers[case.step] += case.answers
        for step, answers in case.steps.items():
            server.answers[step] += answers
        if case.again:
            server.always[case.step] = case.answers[-1]
        first = sender.send("first")
        server.always.clear()
        server.answers.clear()
        # What follows must not depend on the machine.
        sender.committer._commit_seconds = WAIT_SECONDS

        assert first == {case.result: EVENTS}
        assert len(server.rows) == (EVENTS if case.counted else 0)
        if case.attempts is not None:
            assert server.begun == case.attempts
        if case.commits is not None:
            assert server.steps("commit") == case.commits

        # The sender tries again what was not acknowledged, and goes on.
        server.looked_up.clear()
        sender.send("first")
        assert server.looked_up[0] == case.batch
        assert sender.send("second") == {"sent": EVENTS}
        assert len(server.rows) == 2 * EVENTS
        counted = Counter(server.sums)
        counted["instagram_accounts"] += counted.pop(BACKLOG, 0)
        assert set(counted.values()) == {2 * EVENTS}, counted
        assert server.open_transactions == 0


@pytest.mark.parametrize(
    "answer",
    [write_error(11000, keyPattern={"_id": 1}), error(112), write_error(112, TRANSIENT)],
    ids=["duplicate key", "conflict without label", "conflict"],
)
def test_a_repeated_event_is_found_however_the_engine_reports_it(
    server: WireServer, mongo: Mongo, answer: dict[str, Any]
) -> None:
    """Without the look-up before each batch; another process counted the event."""
    server.duplicate = answer
    with closing(sender_of(server, mongo)) as sender:
        for number in range(PREFETCH_BATCHES):
            sender.send(f"{number}-", events=1)
        server.count(sender.row("mixed7").row_id)
        assert sender.send("mixed") == {"sent": EVENTS - 1, "duplicates": 1}
    assert len(server.rows) == PREFETCH_BATCHES + EVENTS
    assert server.open_transactions == 0


@pytest.mark.usefixtures("large_bulk_writes")
@pytest.mark.parametrize("wire_version", [BULK_WRITE_WIRE_VERSION])
@pytest.mark.parametrize("code", [59, 115])
def test_a_server_that_does_not_allow_bulk_writes_is_asked_once(
    code: int, server: WireServer, mongo: Mongo
) -> None:
    """MongoDB 8 while its feature compatibility version is 7.0."""
    server.always[BULK] = Answer(error(code))
    with closing(sender_of(server, mongo)) as sender:
        assert sender.send("first") == {"sent": EVENTS}
        assert sender.send("second") == {"sent": EVENTS}
    assert server.steps(BULK) == 1
    assert server.begun == 3
    assert server.open_transactions == 0


@pytest.mark.parametrize("wire_version", [BULK_WRITE_WIRE_VERSION])
def test_many_rows_are_inserted_by_a_message_of_their_own(server: WireServer, mongo: Mongo) -> None:
    with closing(sender_of(server, mongo)) as sender:
        for number, rows in enumerate((BULK_ROWS, BULK_ROWS + 1)):
            sender.committer.submit([sender.row(f"{number}-{n}") for n in range(rows)])
    assert (server.steps(BULK), server.steps("ledger")) == (1, 1)


@pytest.mark.usefixtures("large_bulk_writes")
@pytest.mark.parametrize("wire_version", [BULK_WRITE_WIRE_VERSION])
def test_an_event_near_a_bound_is_checked_between_the_writes(
    server: WireServer, mongo: Mongo
) -> None:
    """After the write to the global document: a bulk write cannot."""
    with closing(sender_of(server, mongo)) as sender:
        near = msgspec.structs.replace(
            sender.row("near"), time_ms=sender.now_ms + 3_600_000, alternate_id=("other", b"n" * 20)
        )
        assert sender.committer.submit([near]) == CommitOutcome(sent=1)
    assert server.steps(BULK) == 0
    steps = [step for step in server.commands if step in ("totals", "look up", "ledger")]
    assert steps[-3:] == ["totals", "look up", "ledger"]


def test_nothing_is_sent_to_a_primary_that_stepped_down(server: WireServer, mongo: Mongo) -> None:
    """Until the driver knows of a new one; then the same batch is committed."""
    with closing(sender_of(server, mongo)) as sender:
        server.answers["ledger"] = [Answer(error(10107, TRANSIENT), steps_down=0.5)]
        assert sender.send("first") == {"sent": EVENTS}
        assert server.begun == 2
        assert server.steps("abort") <= 1
        server.answers["commit"] = [Answer(error(10107, RETRYABLE), steps_down=0.5)]
        assert sender.send("second") == {"sent": EVENTS}
        assert server.steps("commit") == 3
    assert len(server.rows) == 2 * EVENTS
    assert server.open_transactions == 0
