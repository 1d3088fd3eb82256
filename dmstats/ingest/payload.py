"""The shape of Meta's webhook bodies, and their tolerant decoding; pure.

The common case is one typed decode of the whole body. A body that does not fit (an item of the
wrong shape, a lone surrogate that only Python's parser takes) is decoded again item by item, so
that one odd item costs only itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from dmstats.core.errors import BadRequest

Scalar = str | int | float | None


class Party(msgspec.Struct, gc=False):
    """A sender or a recipient."""

    id: Scalar = None


class Message(msgspec.Struct, gc=False):
    """A direct message; ``is_echo`` marks one that the account itself sent."""

    mid: str = ""
    is_echo: bool = False
    is_self: bool = False
    is_deleted: bool = False


class Marked(msgspec.Struct, gc=False):
    """Any event that points at a message by ``mid``: seen, postback, reaction, edit."""

    mid: str = ""
    action: str = ""
    num_edit: Scalar = None


class Referral(msgspec.Struct, gc=False):
    """Somebody came by a link; it has no ``mid``."""


class Item(msgspec.Struct, gc=False):
    """One element of ``entry[].messaging``: exactly one of the optional parts tells its kind."""

    sender: Party | None = None
    timestamp: Scalar = None
    message: Message | None = None
    message_edit: Marked | None = None
    reaction: Marked | None = None
    read: Marked | None = None
    postback: Marked | None = None
    referral: Referral | None = None

    def known(self) -> bool:
        """Whether one of the parts is there."""
        return (
            self.message or self.read or self.reaction or self.postback
            or self.referral or self.message_edit
        ) is not None  # fmt: skip


class Entry(msgspec.Struct, gc=False):
    """One element of ``entry``: an account and what happened there."""

    id: str | int
    time: Scalar = None
    messaging: list[Item] = []
    standby: list[msgspec.Raw] = []
    changes: list[msgspec.Raw] = []


class Body(msgspec.Struct, gc=False):
    """The whole body of a POST."""

    object: str
    entry: list[Entry]


class Loose(msgspec.Struct):
    """One entry decoded item by item: ``items`` as (typed or ``None`` if unreadable, raw)."""

    id: str
    time: Scalar
    items: list[tuple[Item | None, Any]]
    standby: int
    changes: list[Any]
    strange: list[str]


_OBJECT = "instagram"
_BODY = msgspec.json.Decoder(Body)
_KNOWN_LISTS = ("messaging", "standby", "changes")


def decode(body: bytes) -> list[Entry] | None:
    """The entries of a body in which everything is known; ``None`` where a closer look is due."""
    try:
        decoded = _BODY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if decoded.object != _OBJECT:
        return None
    for entry in decoded.entry:
        if entry.changes or not (entry.messaging or entry.standby):
            return None
        if not all(item.known() for item in entry.messaging):
            return None
    return decoded.entry


def decode_loosely(body: bytes) -> Iterator[Loose | None]:
    """The entries of any body of ours, item by item; ``None`` stands for an unreadable entry.

    Raises :class:`BadRequest` for what is not JSON or not an object of ours.
    """
    try:
        decoded = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body is not JSON") from error
    bodies = decoded if isinstance(decoded, list) else [decoded]
    for one in bodies:
        if not isinstance(one, dict) or one.get("object") != _OBJECT:
            raise BadRequest(f'The body is not an object with "object": "{_OBJECT}"')
        if not isinstance(one.get("entry"), list):
            raise BadRequest('The body has no list "entry"')
    if not bodies:
        raise BadRequest("The body is empty")
    for one in bodies:
        for entry in one["entry"]:
            yield _loose(entry)


def _loose(entry: Any) -> Loose | None:
    if not isinstance(entry, dict):
        return None
    account = entry.get("id")
    if isinstance(account, bool) or not isinstance(account, str | int):
        return None
    lists = {name: entry.get(name, []) for name in _KNOWN_LISTS}
    if not all(isinstance(value, list) for value in lists.values()):
        return None
    time = entry.get("time")
    return Loose(
        id=str(account),
        time=time if isinstance(time, str | int | float) else None,
        items=[(_item(raw), raw) for raw in lists["messaging"]],
        standby=len(lists["standby"]),
        changes=lists["changes"],
        strange=sorted(
            name
            for name, value in entry.items()
            if name not in _KNOWN_LISTS and isinstance(value, list | dict)
        ),
    )


def _item(raw: Any) -> Item | None:
    try:
        return msgspec.convert(raw, Item)
    except (msgspec.ValidationError, RecursionError, UnicodeError):
        return None  # UnicodeError: a field's name is half of a surrogate pair
