"""What is known of a DM, by its age and its echo."""

from __future__ import annotations

import pytest

from dmstats.core.clock import HOUR_MS, MINUTE_MS
from dmstats.db.send_store import FIRST_LOOK_MS, Send, State, Verdict
from dmstats.ops.lost_dms import LOOKED_FOR_MS, WITHIN_MS, verdict

SENT = 1_790_000_000_000
SEND = Send(b"d" * 16, "1", SENT)


@pytest.mark.parametrize(
    ("after_ms", "state"),
    [
        (-HOUR_MS, State.ECHOED),
        (0, State.ECHOED),
        (WITHIN_MS, State.ECHOED),
        (WITHIN_MS + 1, State.LATE),
        (30 * HOUR_MS, State.LATE),
    ],
)
def test_with_an_echo_it_is_settled(after_ms: int, state: State) -> None:
    assert verdict(SEND, SENT + after_ms, SENT + 40 * HOUR_MS) == Verdict(state, None)


def test_without_one_it_is_lost_and_looked_for_with_growing_pauses() -> None:
    now, looks = SENT + FIRST_LOOK_MS, 1
    found = verdict(SEND, None, now)
    before = 0
    while found.due_ms is not None:
        assert found.state == State.LOST
        pause = found.due_ms - now
        assert pause >= min(10 * MINUTE_MS, SENT + LOOKED_FOR_MS - now)
        assert found.due_ms == SENT + LOOKED_FOR_MS or pause >= before
        now, looks, before = found.due_ms, looks + 1, pause
        found = verdict(SEND, None, now)
    assert found == Verdict(State.LOST, None)
    assert now == SENT + LOOKED_FOR_MS, "the last look is after Meta's last retry"
    assert looks < 20
