"""What an item counts as, and what makes two deliveries of it the same event; pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from dmstats.core.records import RECEIVED, SENT
from dmstats.ingest.payload import Item, Scalar

LEAST_MS, MOST_MS = 10**11, 10**14
"""What is between these is a time in ms; below are seconds, above are microseconds."""


class Unreadable(ValueError):
    """An item that cannot be told apart from others of its kind, or names no account."""


def normalise_time(value: Scalar) -> int | None:
    """A time as ms since the epoch: Meta sends ms, test events seconds, sometimes as a string.

    The unit follows from the magnitude; ``None`` for what is no time at all.
    """
    if type(value) is int and LEAST_MS <= value < MOST_MS:  # as in every DM: decided first
        return value
    if isinstance(value, str):
        if not (value.isascii() and value.isdecimal()):
            return None
        value = int(value) if len(value) < 20 else 0
    if value is None or not 0 < value < 1e17:
        return None
    if value < LEAST_MS:
        return int(value * 1000)
    return int(value) if value < MOST_MS else int(value / 1000)


def identify(item: Item) -> tuple[str, Sequence[str]]:
    """The kind of a known item, and the parts whose equality makes two deliveries one event."""
    if (message := item.message) is not None:
        if message.is_deleted:
            return "unsent", ("unsent", _required(message.mid))
        return SENT if message.is_echo else RECEIVED, ("message", _required(message.mid))
    if (edit := item.message_edit) is not None:
        return "edit", ("edit", _required(edit.mid), str(edit.num_edit))
    if (reaction := item.reaction) is not None:
        time = str(item.timestamp)
        return "reaction", (
            "reaction", _required(reaction.mid), _sender(item), reaction.action, time,
        )  # fmt: skip
    if (seen := item.read) is not None:
        return "seen", ("seen", _required(seen.mid))
    if (postback := item.postback) is not None:
        return "postback", ("postback", _required(postback.mid))
    if not (sender := _sender(item)):
        raise Unreadable("a referral without a sender")
    return "referral", ("referral", sender, str(item.timestamp))


def _sender(item: Item) -> str:
    return "" if item.sender is None or item.sender.id is None else str(item.sender.id)


def _required(mid: str) -> str:
    if not mid:
        raise Unreadable("no mid")
    return mid


def digest_of(parts: Sequence[str]) -> bytes:
    """16 bytes of SHA-256; each part goes in with its length, so no two lists read the same.

    Lone surrogates are legal in JSON strings, hence ``surrogatepass``.
    """
    text = "".join([f"{len(part)}:{part}" for part in parts])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]
