"""A paced run of made-up traffic against a running service, and whether it was counted exactly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec

from dmstats.core.stopping import Stop
from dmstats.db.client import Mongo
from dmstats.db.counting.ledger import Ledger
from dmstats.db.counting.reconciliation import PlaceSums, read_place_sums
from dmstats.simulator.bodies import Delivery, Traffic
from dmstats.simulator.delivery_sender import Report, Sender


class SimulationPlan(msgspec.Struct, frozen=True):
    """What to send: ``rate`` in new DMs a second, ``seconds`` long."""

    url: str
    secret: str
    rate: float
    seconds: float
    duplicates: float
    batch: tuple[int, int]
    accounts: int
    seed: int
    parallel: int
    patience: float


class Result(msgspec.Struct):
    """What was sent, how it was answered, and what each place counted meanwhile."""

    sent: PlaceSums
    repeated: int
    report: Report
    counted: dict[str, PlaceSums]
    seconds: float
    interrupted: bool

    @property
    def exact(self) -> bool:
        """Whether every place agrees with what was sent, and nothing was given up."""
        return not self.report.given_up and all(
            tally == self.sent for tally in self.counted.values()
        )


def simulate(
    plan: SimulationPlan,
    mongo: Mongo,
    ledger: Ledger,
    progress: Callable[[float], None],
    stop: Stop,
) -> Result:
    """Run ``plan`` until it is done or ``stop``; ``progress`` is told the share done, 0 to 1.

    The service must be otherwise idle: other traffic would be counted too.
    """
    traffic = Traffic(
        seed=plan.seed, accounts=plan.accounts, duplicates=plan.duplicates, batch=plan.batch
    )
    before = read_place_sums(mongo, ledger)
    sender = Sender(
        plan.url, plan.secret, parallel=plan.parallel, patience=plan.patience, stop=stop
    )
    started = time.monotonic()
    report = sender.send_all(_paced(plan, traffic, progress, stop))
    seconds = time.monotonic() - started
    after = read_place_sums(mongo, ledger)
    return Result(
        sent=PlaceSums(traffic.expected["sent"], traffic.expected["received"]),
        repeated=traffic.repeated,
        report=report,
        counted={place: after[place] - before[place] for place in after},
        seconds=seconds,
        interrupted=stop.wait(0),
    )


def _paced(
    plan: SimulationPlan, traffic: Traffic, progress: Callable[[float], None], stop: Stop
) -> Iterator[Delivery]:
    """Deliveries at the plan's rate; late ones are made up for, so that the total is right."""
    started = time.monotonic()
    total = round(plan.rate * plan.seconds)
    while traffic.dms < total:
        due = started + traffic.dms / plan.rate
        if stop.wait(max(0.0, due - time.monotonic())):
            return
        yield traffic.delivery(time.time_ns() // 1_000_000)
        progress(min(1.0, traffic.dms / total))
