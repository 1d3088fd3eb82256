"""One torture run, from an empty folder to the figures."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from pymongo import MongoClient

from dmstats.core.constants import WEBHOOK_PATH
from dmstats.core.settings import Settings
from dmstats.db.client import DEFAULT_DATABASE
from dmstats.db.counting.ledger import max_age_ms
from tests.torture.events import Mixer
from tests.torture.kills import KINDS, Killer
from tests.torture.load import Load
from tests.torture.recount import recount
from tests.torture.report import Figures
from tests.torture.second_writer import SecondWriter, run_audit
from tests.torture.service import Service

RETENTION_HOURS = 168
DRAIN_SECONDS = 120.0


class Options(msgspec.Struct, frozen=True):
    """What to do; ends after ``seconds`` or ``dms`` new DMs, whichever comes first.

    A slow machine goes on until it has killed ``min_kills`` times, for four times ``seconds`` at
    most.
    """

    seed: int
    seconds: float = 60.0
    min_kills: int = 0
    dms: int | None = None
    rate: float = 300.0
    every: float = 6.0
    kinds: Sequence[str] = tuple(KINDS)
    workers: int = 2
    parallel: int = 24
    batch: tuple[int, int] = (1, 50)
    duplicates: float = 0.05
    platform_rate: float = 0.0
    """Writes a second of the host platform to the accounts."""
    keep: Path | None = None
    """Where to keep the data and the logs; without it they are deleted."""
    server: Path | None = None
    """The program of a database to run beside the service; else the embedded one."""


def torture(options: Options, say: Callable[[str], None]) -> Figures:
    """Run it; everything that was started has ended when this returns."""
    with tempfile.TemporaryDirectory(prefix="dmstats-torture-") as folder:
        service = Service(
            options.keep or Path(folder),
            workers=options.workers,
            retention_hours=RETENTION_HOURS,
            server=options.server,
        )
        try:
            service.start()
            return _run(options, service, say)
        except AssertionError:
            say(service.log.read_text()[-4000:])
            raise
        finally:
            service.stop()


def _run(options: Options, service: Service, say: Callable[[str], None]) -> Figures:
    mixer = Mixer(
        seed=options.seed,
        rate=options.rate,
        batch=options.batch,
        duplicates=options.duplicates,
        max_age_ms=max_age_ms(RETENTION_HOURS),
    )
    secret = Settings.from_env(service.settings()).meta_app_secrets[0]
    load = Load(mixer, service.url + WEBHOOK_PATH, secret, parallel=options.parallel)
    started = time.monotonic()

    def recovered(since: float) -> bool:
        return bool(load.answered) and load.answered[-1] > since + 1.0

    def tell(line: str) -> None:
        say(f"{time.monotonic() - started:7.1f} s, {mixer.dms:>9,} DMs: {line}")

    killer = Killer(
        service, options.kinds, seed=options.seed, every=options.every,
        recovered=recovered, say=tell,
    )  # fmt: skip
    writer = SecondWriter(service, mixer.accounts, seed=options.seed, rate=options.platform_rate)
    load.start()
    killer.start()
    writer.start()
    while killer.failure is None:
        passed = time.monotonic() - started
        enough = len(killer.kills) >= options.min_kills or passed >= 4 * options.seconds
        if passed >= options.seconds and enough:
            break
        if options.dms is not None and mixer.dms >= options.dms:
            break
        service.keep_running()
        time.sleep(0.2)
    killer.stop()
    ended = time.monotonic()
    service.recover()
    writer.stop()
    tell("no more kills; sending what is not acknowledged yet")
    settled = load.drain(DRAIN_SECONDS)
    seconds = time.monotonic() - started
    load.stop()
    if killer.failure:
        raise killer.failure
    tell("counting again")
    uri = Settings.from_env(service.settings()).mongodb_uri
    # Reading everything at once takes the embedded database longer than the service ever waits.
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        db = client[DEFAULT_DATABASE]
        waiting = writer.await_backlog(db)
        found = recount(db, mixer.acknowledged, writer.platform)
        platform = writer.figures(db, waiting)
    return Figures(
        seed=options.seed,
        seconds=seconds,
        dms=mixer.dms,
        acknowledged=sum(mixer.acknowledged.values()),
        settled=settled,
        posts=mixer.posts,
        retried=mixer.retried,
        repeated=mixer.repeated,
        stepped=mixer.stepped,
        statuses=dict(load.statuses),
        slow=len(load.slow),
        recount=found,
        answered=load.answered,
        refused=mixer.refused,
        ended=ended,
        kills=killer.kills,
        audit={0: "no drift", 1: "drift"}.get(run_audit(service)[0], "not there"),
        platform=platform,
    )
