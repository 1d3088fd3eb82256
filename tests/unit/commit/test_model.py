"""Committers, writer and store against every interleaving, crash and lost answer that can be met.

Hypothesis decides, command by command, whose goes on and how it ends; a counter that only knows
which events were acknowledged is the reference. The database is a model (``mongomodel``); all that
is ours is real. A longer search::

    MODEL_EXAMPLES=5000 python -m pytest tests/unit/commit/test_model.py
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import gevent
import pytest
from gevent.event import AsyncResult
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dmstats.commit import batch_writer as writing
from dmstats.commit.batch_writer import BatchWriter
from dmstats.commit.group_commit import Committer
from dmstats.commit.limits import PROBE_AGAIN_SECONDS, ContentionBackoff
from dmstats.core.clock import HOUR_MS, ManualClock, to_datetime, to_ms
from dmstats.core.errors import Unavailable
from dmstats.core.records import OTHER_PARTITION, RECEIVED, SENT, LedgerRow
from dmstats.db.counting.batches import Batches
from dmstats.db.counting.ledger import Ledger
from dmstats.db.transactions import Transactions
from dmstats.ingest.events import NO_HOUR
from tests.unit.commit.mongomodel import Client, Database, Outcome, Server
from tests.unit.commit.test_group_commit import Recorder

NOW_MS = to_ms(datetime(2026, 11, 30, 23, 59, 50, tzinfo=UTC))
FOREVER = 10_000.0
COMMITTERS = 3
STEPS = 60
MANY = 2_000
"""More commands than any end of a game needs."""
EVENTS = 12
NEAR_A_BOUND = 8
"""Of the events, so many may be judged in bounds, or late, at each of their deliveries."""


class Event:
    """An event; if its time is near a bound, it has one of two ids in each delivery."""

    def __init__(self, number: int) -> None:
        self.digest = number.to_bytes(16, "big")
        self.account = f"a{number % 2}"
        self.kind = SENT if number % 3 else RECEIVED
        self.near_a_bound = number < NEAR_A_BOUND
        ahead_ms = HOUR_MS if self.near_a_bound else 10_000  # in the next month, all of them
        self.time_ms = NOW_MS + ahead_ms + (number % 4) * 5_000

    def row(self, *, late: bool) -> LedgerRow:
        late = late and self.near_a_bound
        hour = (self.time_ms // HOUR_MS).to_bytes(4, "big")
        day = f"{to_datetime(self.time_ms):%Y%m%d}"
        dated, other = (day, hour + self.digest), (OTHER_PARTITION, NO_HOUR + self.digest)
        here, alternate_id = (other, dated) if late else (dated, other)
        return LedgerRow(
            here[1], here[0], self.account, self.kind, self.time_ms, NOW_MS, late, "", alternate_id
        )


class Process:
    """One worker: a committer on a client of its own."""

    def __init__(self, client: Client, clock: ManualClock, *, has_bulk_write: bool) -> None:
        database: Any = Database(client, has_bulk_write=has_bulk_write)
        self.client = client
        ledger = Ledger(database, retention_hours=168)
        batches = Batches(database, ledger, Transactions(database), clock)
        writer = BatchWriter(batches, clock, lambda in_a_row: None)
        self.committer = Committer(writer, clock, Recorder(), commit_seconds=FOREVER, max_batch=4)

    def die(self) -> None:
        """As SIGKILL does it: nothing is said to anybody."""
        self.client.dead = True
        if self.committer._greenlet is not None:
            self.committer._greenlet.kill()


class World:
    """Processes, their parked commands, and the requests under way."""

    def __init__(self) -> None:
        self.server = Server()
        self.clock = ManualClock(NOW_MS)
        self.parked: list[tuple[Client, str, AsyncResult[Outcome]]] = []
        self.calm = False
        self.made = 0
        self.dead: list[bytes] = []
        self.requests: list[tuple[gevent.Greenlet, list[Event], Process]] = []
        self.events = [Event(number) for number in range(EVENTS)]
        self.acknowledged: set[bytes] = set()
        self.claimed: Counter[str] = Counter()
        self.verified: tuple[int, int, int] | None = None
        self.processes = [self._process() for _ in range(COMMITTERS)]

    def _process(self) -> Process:
        self.made += 1
        client = Client(self.server, self._decide, self.made)
        # Both ways of sending a transaction meet.
        return Process(client, self.clock, has_bulk_write=self.made % 2 == 0)

    def _decide(self, client: Client, command: str) -> Outcome:
        if self.calm:
            return "ok"
        gate: AsyncResult[Outcome] = AsyncResult()
        self.parked.append((client, command, gate))
        outcome: Outcome = gate.get()
        return outcome

    def submit(self, process: int, events: list[Event], late: list[bool]) -> None:
        """One POST with these events at one of the processes."""
        target = self.processes[process]
        rows = [event.row(late=was) for event, was in zip(events, late, strict=True)]
        greenlet = gevent.spawn(_ask, target.committer, rows)
        self.requests.append((greenlet, events, target))
        self.settle()

    def step(self, number: int, outcome: Outcome, *, only: str = "") -> None:
        """Let one parked command go on, if there is one whose name begins with ``only``."""
        if chosen := [each for each in self.parked if each[1].startswith(only)]:
            parked = chosen[number % len(chosen)]
            self.parked.remove(parked)
            parked[2].set(outcome)
            self.settle()

    def crash(self, number: int) -> None:
        """Kill a process; its successor starts, and what it had open stays open."""
        victim = self.processes[number]
        self.dead.append(victim.client.session.id)
        victim.die()
        self.parked = [each for each in self.parked if each[0] is not victim.client]
        for greenlet, _, process in self.requests:
            if process is victim:
                greenlet.kill()
        self.processes[number] = self._process()
        self.settle()

    def reap(self) -> None:
        """Free what the dead left locked."""
        for session in self.dead:
            self.server.kill(session)
        self.dead.clear()

    def settle(self) -> None:
        """Run all processes until each waits for a command, an answer or work; then check."""
        for _ in range(15):
            gevent.sleep(0)
        for greenlet, events, _ in [each for each in self.requests if each[0].ready()]:
            if (outcome := greenlet.value) and not isinstance(outcome, gevent.GreenletExit):
                self.acknowledged |= {event.digest for event in events}
                self.claimed.update(sent=outcome.sent, received=outcome.received)
        self.requests = [each for each in self.requests if not each[0].ready()]
        looked_at = self.server.moment, len(self.acknowledged), self.claimed.total()
        if looked_at != self.verified:  # otherwise there is nothing new to verify
            self.verifier()
            self.verified = looked_at

    def verifier(self) -> None:
        """At any moment: what was acknowledged is there once, and the counters are its sum."""
        rows = self.server.rows("dmstats_ledger_")
        digests = Counter(key[1][4:] for key in rows)
        assert not self.acknowledged - digests.keys(), "lost"
        assert set(digests.values()) <= {1}, "doubled"
        wanted: Counter[Any] = Counter()
        for row in rows.values():
            wanted["global", row["kind"]] += 1
            wanted["day", row["kind"]] += 1
            wanted["hour", row["kind"]] += 1
            wanted[row["account"], row["kind"]] += 1
            if row["kind"] == SENT:
                wanted[row["account"], f"{row['time']:%Y-%m}"] += 1
        assert +self._reported() == wanted
        assert self.claimed["sent"] <= wanted["global", SENT]
        assert self.claimed["received"] <= wanted["global", RECEIVED]

    def _reported(self) -> Counter[Any]:
        told: Counter[Any] = Counter()
        data = self.server.data
        total = data.get(("stats_cache", "global"), {})
        told["global", SENT] = total.get("dmsSent", 0)
        told["global", RECEIVED] = total.get("dmsReceived", 0)
        for (collection, _), found in data.items():
            for kind, field in ((SENT, "dmUsed"), (RECEIVED, "dmReceived")):
                if collection in ("dmstats_hours", "dmstats_days"):
                    told[collection.removeprefix("dmstats_")[:-1], kind] += found.get(kind, 0)
                elif collection == "instagram_accounts":
                    told[found["instagramId"], kind] += found[field]
            if collection == "instagram_accounts":
                told[found["instagramId"], found["currentMonth"]] += found["monthlyDmUsed"]
            elif collection == "dmstats_account_backlog":  # of an account that was contended
                for kind in (SENT, RECEIVED):
                    told[found["account"], kind] += found[kind]
                for month, sent in found["months"].items():
                    told[found["account"], month] += sent
        return told

    def finish(self) -> None:
        """Nothing fails any more, and everything is sent again until it is acknowledged."""
        self.calm = True
        self.reap()
        go_on(self)
        for _ in range(5):
            self.clock.advance(PROBE_AGAIN_SECONDS)  # a breaker that is open lets the next in
            for event in self.events:
                if event.digest not in self.acknowledged:
                    self.submit(0, [event], [False])
            for _ in range(20):
                self.settle()
        assert self.acknowledged == {event.digest for event in self.events}
        for process in self.processes:
            process.die()


def _ask(committer: Committer, rows: list[LedgerRow]) -> Any:
    try:
        return committer.submit(rows)
    except Unavailable:
        return None


# Each draw from ``data`` costs more than what is drawn: so as much as possible is drawn at once.
PROCESSES = st.integers(0, COMMITTERS - 1)
POSTS = st.tuples(
    PROCESSES,
    st.lists(st.tuples(st.integers(0, EVENTS - 1), st.booleans()), min_size=1, max_size=4),
)
"""A process, and of each event its number and whether it is late."""


@cache
def commands(length: int) -> st.SearchStrategy[list[int]]:
    """Which of the parked commands go on, one after the other."""
    return st.lists(st.integers(0, COMMITTERS), min_size=length, max_size=length)


def play(world: World, data: st.DataObject) -> None:
    """One game: up to ``STEPS`` moves, then the end, in which all must come right."""
    for _ in range(data.draw(st.integers(5, STEPS))):
        move = data.draw(st.integers(0, 19))
        if move < 4 or not world.parked:
            process, rows = data.draw(POSTS)
            events = [world.events[number] for number, _ in rows]
            world.submit(process, events, [late for _, late in rows])
        elif move == 4:
            world.crash(data.draw(PROCESSES))
        elif move == 5:
            world.reap()
        elif move < 10:
            outcome: Outcome = "lost before" if move % 2 else "lost after"
            world.step(data.draw(st.integers(0, 20)), outcome, only="commit" if move < 8 else "")
        else:
            for number in data.draw(commands(data.draw(st.integers(1, 15)))):
                world.step(number, "ok")
    world.finish()


search = settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES", "60")),
    derandomize="MODEL_EXAMPLES" not in os.environ,
    phases=[Phase.explicit, Phase.generate],  # shrinking takes minutes and explains little
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ContentionBackoff, "back_off", lambda self, attempt: 0.0)
    monkeypatch.setattr(
        writing, "PREFETCH_BATCHES", 1
    )  # both ways of finding a repetition, by turns
    # Somebody who meets a lock that is never freed is never idle then.
    monkeypatch.setattr(Committer, "_gather", staticmethod(lambda: gevent.sleep(0)))


def go_on(world: World) -> None:
    for _ in range(MANY):
        if not world.parked:
            return
        world.step(0, "ok")
    raise AssertionError("no end")


def test_it_works() -> None:
    world = World()
    world.submit(0, world.events[:3], [False, True, False])
    go_on(world)
    assert world.acknowledged == {event.digest for event in world.events[:3]}
    world.finish()


@search
@given(st.data())
def test_any_order_of_any_failures(data: st.DataObject) -> None:
    play(World(), data)


def broken_commit(server: Server) -> Callable[..., None]:
    def commit(session: bytes, number: int) -> None:
        transaction = server.open.pop(session)
        half = [*transaction.written.items()][: max(1, len(transaction.written) // 2)]
        server._put(dict(half))

    return commit


@pytest.mark.parametrize(("process", "command"), [(0, "insert"), (1, "bulkWrite")])
def test_a_transaction_is_sent_in_both_ways(process: int, command: str) -> None:
    world = World()
    world.submit(process, world.events[NEAR_A_BOUND:], [False] * (EVENTS - NEAR_A_BOUND))
    sent = set()
    while world.parked:
        sent.add(world.parked[0][1].partition(" ")[0])
        world.step(0, "ok")
    assert command in sent
    assert sent <= {"find", "update", "commit", command}
    world.finish()


@pytest.mark.parametrize("process", [0, 1])
def test_the_check_finds_half_a_commit(process: int) -> None:
    """The search above can fail."""
    world = World()
    world.server.commit = broken_commit(world.server)  # type: ignore[method-assign]
    world.submit(process, world.events[-3:], [False, True, False])
    with pytest.raises(AssertionError):
        go_on(world)
    for each in world.processes:
        each.die()
