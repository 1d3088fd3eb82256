"""dmstats whose account states are not computed while the file BENCH_PAUSED exists."""

from __future__ import annotations

import os
from pathlib import Path

from dmstats.states.background import BackgroundStates

PAUSED = Path(os.environ["BENCH_PAUSED"])
usual = BackgroundStates.tick


def tick(states: BackgroundStates) -> bool:
    return not PAUSED.exists() and usual(states)


BackgroundStates.tick = tick  # type: ignore[method-assign,assignment]

from wsgi import app  # noqa: E402, F401 - after the job was changed
