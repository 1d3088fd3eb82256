"""Sends simulated traffic to a running service at a given rate, and checks all counters."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator

import msgspec

from dmstats.core.stopping import Stop
from dmstats.db.client import Mongo
from dmstats.db.counting.ledger import Ledger
from dmstats.db.counting.reconciliation import PlaceSums, read_own, read_place_sums
from dmstats.simulator.bodies import Delivery, Traffic
from dmstats.simulator.delivery_sender import DeliverySender, Report

OWN = ("ledger", "accounts")
"""Places where this run's accounts can be counted separately."""


class SimulationPlan(msgspec.Struct, frozen=True):
    """What to send: ``rate`` new DMs per second for ``seconds``."""

    url: str
    secret: str
    rate: float
    seconds: float
    duplicates: float
    batch: tuple[int, int]
    accounts: int
    seed: int
    parallel: int
    timeout: float


class Result(msgspec.Struct):
    """What was sent, the answers, and the counters in each place.

    Ledger and accounts contain only this ``run``. Hours, days and totals also contain other traffic
    during the run, ``elsewhere`` (sent, received).
    """

    run: str
    sent: PlaceSums
    repeated: int
    report: Report
    counted: dict[str, PlaceSums]
    elsewhere: tuple[int, int]
    seconds: float
    interrupted: bool

    def agrees(self, place: str) -> bool:
        """Whether the counters in ``place`` match what was sent.

        With other traffic, the places are read at different moments, so the shared counters are
        only checked for at least what was sent.
        """
        tally = self.counted[place]
        if place in OWN or not any(self.elsewhere):
            return tally == self.sent
        return tally.sent >= self.sent.sent and tally.received >= self.sent.received

    @property
    def exact(self) -> bool:
        """Whether every place matches what was sent, and no delivery was given up."""
        return not self.report.given_up and all(map(self.agrees, self.counted))


def simulate(
    plan: SimulationPlan,
    mongo: Mongo,
    ledger: Ledger,
    progress: Callable[[float], None],
    stop: Stop,
) -> Result:
    """Run ``plan`` until it is complete or ``stop`` is set; ``progress`` gets the share done, 0 to
    1."""
    traffic = Traffic(
        seed=plan.seed,
        accounts=plan.accounts,
        duplicates=plan.duplicates,
        batch=plan.batch,
        run=(run := secrets.token_hex(8)),
    )
    before = read_place_sums(mongo, ledger)
    sender = DeliverySender(
        plan.url, plan.secret, parallel=plan.parallel, timeout=plan.timeout, stop=stop
    )
    started = time.monotonic()
    report = sender.send_all(_paced(plan, traffic, progress, stop))
    seconds = time.monotonic() - started
    own, after = read_own(mongo, ledger, traffic.prefix), read_place_sums(mongo, ledger)
    grown = {place: after[place] - before[place] for place in after}
    others = grown["ledger"] - own["ledger"]
    return Result(
        run=run,
        sent=PlaceSums(traffic.expected["sent"], traffic.expected["received"]),
        repeated=traffic.repeated,
        report=report,
        counted=grown | own,
        elsewhere=(max(0, others.sent), max(0, others.received)),
        seconds=seconds,
        interrupted=stop.wait(0),
    )


def _paced(
    plan: SimulationPlan, traffic: Traffic, progress: Callable[[float], None], stop: Stop
) -> Iterator[Delivery]:
    """Deliveries at the plan's rate; after a delay they catch up, so that the total is right."""
    started = time.monotonic()
    total = max(1, round(plan.rate * plan.seconds))
    while traffic.dms < total:
        due = started + traffic.dms / plan.rate
        if stop.wait(max(0.0, due - time.monotonic())):
            return
        yield traffic.delivery(time.time_ns() // 1_000_000)
        progress(min(1.0, traffic.dms / total))
