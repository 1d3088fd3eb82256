"""Decides which incidents are open, from observed facts; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from dmstats.core.clock import MINUTE_MS
from dmstats.ops.delivery_log import Record

WINDOW_MINUTES = 30
LEAST_USUAL = 10
"""A baseline of fewer DMs per window is too low to detect silence."""
MIN_WEEKS = 2

FAILING_AFTER_MS = 5 * MINUTE_MS
STILL_FAILING_MS = 10 * MINUTE_MS
CUT_OFF_MS = 60 * MINUTE_MS
"""Meta may disable a webhook after it has failed for this long."""

LOST_IN_A_ROW = 3
"""The number of consecutive lost canaries that makes an incident."""

FAILING, SILENT, DRIFT = "deliveries_failing", "webhook_silent", "drift"
CANARIES = "canaries_lost"
NEW_NAME = "new_event"
RULE = "rule"
"""The kind of incidents that alert rules open; their names also contain the rule's id."""


@dataclass(frozen=True, slots=True)
class Incident:
    """An open incident; ``text`` is a sentence for the person on call."""

    name: str
    text: str


def kind_of(name: str) -> str:
    """What kind of incident ``name`` is."""
    return RULE if name.startswith(f"{RULE}-") else name


def failing(record: Record, now_ms: int) -> Incident | None:
    """Deliveries fail, and none was acknowledged for :data:`FAILING_AFTER_MS`."""
    since = record.failing_since
    if not since or now_ms - since < FAILING_AFTER_MS or now_ms - record.failed > STILL_FAILING_MS:
        return None
    minutes, left = (now_ms - since) // MINUTE_MS, (since + CUT_OFF_MS - now_ms) // MINUTE_MS
    warning = (
        f"Meta may disable the webhook in {left} minutes."
        if left > 0
        else "Meta may have disabled the webhook: check the Meta app and subscribe again."
    )
    return Incident(FAILING, f"No delivery was acknowledged for {minutes} minutes. {warning}")


def silent(dms: int, usual: Sequence[int]) -> Incident | None:
    """No DMs arrived, although there were some at this time in earlier weeks."""
    active_weeks = [number for number in usual if number]
    if dms or len(active_weeks) < MIN_WEEKS or median(usual) < LEAST_USUAL:
        return None
    return Incident(
        SILENT,
        f"No DM for {WINDOW_MINUTES} minutes; about {median(usual):.0f} are usual at this time of "
        "the week.",
    )


def unreturned(lost_in_a_row: int) -> Incident | None:
    """Test events do not come back from the service's own address."""
    if lost_in_a_row < LOST_IN_A_ROW:
        return None
    return Incident(
        CANARIES,
        f"{lost_in_a_row} canaries in a row were lost; see `canary_lost` in the log "
        f"for where they stopped.",
    )


def drifted(drift: int) -> Incident | None:
    """The last audit found that the counters differ from the ledger."""
    if not drift:
        return None
    return Incident(DRIFT, f"The counters differ from the ledger by {drift}: run `dmstats audit`.")


def unheard_of(name: str, keys: Sequence[str], since: str, *, unknown: bool) -> Incident:
    """Events of a name that never came before."""
    fields = f" Their fields: {', '.join(keys)}." if keys else ""
    if unknown:
        text = f"Meta has sent `{name}` since {since}. These events are counted as unknown."
    else:
        text = f"Events have been rejected since {since}: `{name}` is missing or cannot be read."
    return Incident(NEW_NAME, text + fields)
