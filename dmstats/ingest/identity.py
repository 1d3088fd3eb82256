"""The kind of an item, and the idempotency key that identifies repeated deliveries of it; pure.

The key never depends on user ids. Meta assigns them per app, and an account may be connected to
several apps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from dmstats.core.records import RECEIVED, SENT
from dmstats.ingest.payload import Item, MessageRef, Scalar

MIN_MS, MAX_MS = 10**11, 10**14
"""Values in this range are milliseconds, smaller ones seconds, larger ones microseconds."""

REFERENCES = (
    ("edit", "message_edit"),
    ("reaction", "reaction"),
    ("seen", "read"),
    ("postback", "postback"),
)
"""The other kinds and the field that carries each, in the order in which they are tried."""


class Unreadable(ValueError):
    """An item without any field that could identify it."""


def normalise_time(value: Scalar) -> int | None:
    """A timestamp in ms since the epoch. Meta sends ms, test events seconds, sometimes as strings.

    The unit is derived from the magnitude. ``None`` if the value is not a timestamp.
    """
    if type(value) is int and MIN_MS <= value < MAX_MS:  # the common case, as in every DM
        return value
    if isinstance(value, str):
        if not (value.isascii() and value.isdecimal()):
            return None
        value = int(value) if len(value) < 20 else 0
    if value is None or not 0 < value < 1e17:
        return None
    if value < MIN_MS:
        return int(value * 1000)
    return int(value) if value < MAX_MS else int(value / 1000)


def identify(account: str, item: Item, time_ms: int | None) -> tuple[str, Sequence[str]]:
    """The kind of an item, and the parts of its idempotency key.

    ``time_ms`` is the item's own timestamp, or None. Raises :class:`Unreadable`.
    """
    if (message := item.message) is not None and message.mid:
        if message.is_deleted:
            return "unsent", ("unsent", message.mid)
        return SENT if message.is_echo else RECEIVED, ("message", message.mid)
    for kind, name in REFERENCES:
        part: MessageRef | None = getattr(item, name)
        if part is not None and (part.mid or time_ms is not None):
            return kind, _reference(account, kind, part, time_ms)
    if item.referral is not None and time_ms is not None:
        return "referral", ("referral", account, str(time_ms), item.referral)
    raise Unreadable("neither a mid nor a time")


def message_digest(mid: str) -> bytes:
    """The digest of the DM with that ``mid``, sent or received."""
    return digest_of(("message", mid))


def _reference(account: str, kind: str, part: MessageRef, time_ms: int | None) -> Sequence[str]:
    if not part.mid:
        return kind, "", account, str(time_ms), part.content
    if kind == "edit":
        return "edit", part.mid, str(part.num_edit)
    if kind == "reaction":
        return "reaction", part.mid, part.action, str(time_ms)
    return kind, part.mid


def digest_of(parts: Sequence[str]) -> bytes:
    """16 bytes of SHA-256. Each part is prefixed with its length, so different lists never hash the
    same text. Lone surrogates are legal in JSON strings, hence ``surrogatepass``."""
    text = "".join([f"{len(part)}:{part}" for part in parts])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]
