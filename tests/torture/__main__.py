"""``python -m tests.torture``: torture a service of its own; exit 1 unless it counted exactly."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from tests.torture.kills import KINDS
from tests.torture.report import lines
from tests.torture.run import Options, torture


def main() -> int:
    """Run once and print the table."""
    asked = _arguments().parse_args()
    seed = random.getrandbits(32) if asked.seed is None else asked.seed
    say(f"seed {seed}")
    options = Options(
        seed=seed, seconds=asked.seconds, dms=asked.dms, rate=asked.rate, every=asked.every,
        kinds=asked.kills, workers=asked.workers, keep=asked.keep,
        server=asked.server, platform_rate=asked.host_writer,
    )  # fmt: skip
    figures = torture(options, say)
    say("\n".join(lines(figures)))
    if asked.host_writer and not figures.steady:
        say("Deliveries were refused for too long without a kill.")
        return 1
    return 0 if figures.exact else 1


def say(text: str) -> None:
    """Print it unbuffered."""
    print(text, flush=True)  # noqa: T201  a command-line program


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="for how long")
    parser.add_argument("--dms", type=int, help="end when so many DMs were made")
    parser.add_argument("--rate", type=float, default=300.0, help="new DMs a second")
    parser.add_argument("--seed", type=int, help="make an earlier run's choices again")
    parser.add_argument("--every", type=float, default=6.0, help="seconds between kills")
    parser.add_argument("--workers", type=int, default=2, help="gunicorn's workers")
    parser.add_argument("--keep", type=Path, help="a folder to leave the data and logs in")
    parser.add_argument(
        "--server", type=Path,
        help="run this program as the database (options as secantusd-rs), not the embedded one",
    )  # fmt: skip
    parser.add_argument(
        "--host-writer", type=float, default=0.0, metavar="RATE",
        help="a second writer, the host platform, writes to the accounts so often a second",
    )  # fmt: skip
    parser.add_argument(
        "--kills", type=_kinds, default=tuple(KINDS),
        help=f"what to kill, with commas between, or none: {', '.join(KINDS)}",
    )  # fmt: skip
    return parser


def _kinds(text: str) -> tuple[str, ...]:
    if text == "none":
        return ()
    kinds = tuple(kind.strip() for kind in text.split(",") if kind.strip())
    if unknown := set(kinds) - KINDS.keys():
        raise argparse.ArgumentTypeError(f"not known: {', '.join(sorted(unknown))}")
    return kinds


if __name__ == "__main__":
    sys.exit(main())
