"""The shape of Meta's webhook bodies, and their tolerant decoding; pure.

The common case is one typed decode of the whole body. A body that does not match (an item with an
unexpected shape, a lone surrogate that only Python's parser accepts) is decoded again, item by
item. That second decoder ignores the type of every field that counting does not need.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec

from dmstats.core.errors import BadRequest

Scalar = str | int | float | None


class Message(msgspec.Struct, gc=False):
    """A direct message; ``is_echo`` marks one that the account itself sent."""

    mid: str = ""
    is_echo: bool = False
    is_self: bool = False
    is_deleted: bool = False


class MessageRef(msgspec.Struct, gc=False):
    """Any event that points at a message by ``mid``: seen, postback, reaction, edit.

    An event without a ``mid`` is identified by its ``content``, as JSON.
    """

    mid: str = ""
    action: str = ""
    num_edit: Scalar = None
    content: str = ""


class Item(msgspec.Struct, gc=False):
    """One element of ``entry[].messaging``; the first complete part determines its kind.

    ``referral`` is its content, as JSON: it has no ``mid``.
    """

    timestamp: Scalar = None
    message: Message | None = None
    message_edit: MessageRef | None = None
    reaction: MessageRef | None = None
    read: MessageRef | None = None
    postback: MessageRef | None = None
    referral: str | None = None

    def complete(self) -> bool:
        """Whether a ``mid`` identifies the item, so that no other field is needed."""
        if self.message is not None:
            return self.message.mid != ""
        part = self.message_edit or self.reaction or self.read or self.postback
        return part is not None and part.mid != ""


class Entry(msgspec.Struct, gc=False):
    """One element of ``entry``: an account and what happened there."""

    id: str | int
    time: Scalar = None
    messaging: list[Item] = []
    standby: list[msgspec.Raw] = []
    changes: list[msgspec.Raw] = []
    field: msgspec.Raw = msgspec.Raw()


class WebhookBody(msgspec.Struct, gc=False):
    """The whole body of a POST."""

    object: str
    entry: list[Entry]


class LooseEntry(msgspec.Struct):
    """One entry decoded item by item: ``items`` as (typed or ``None`` if unreadable, raw).

    ``unknown_fields`` holds the lists and objects under unknown names. ``rejected`` is 1 if
    ``messaging`` is neither a list nor an object.
    """

    id: str
    time: Scalar
    items: list[tuple[Item | None, Any]]
    standby: int
    changes: list[Any]
    unknown_fields: list[tuple[str, Any]]
    rejected: int = 0


class ForeignBody(msgspec.Struct):
    """A body whose ``object`` is not Instagram, and its number of entries."""

    object: str
    entries: int


_OBJECT = "instagram"
MAX_DIGITS = 400
_BODY = msgspec.json.Decoder(WebhookBody)
PARTS = ("message", "message_edit", "reaction", "read", "postback", "referral")
_REFERENCES = ("message_edit", "reaction", "read", "postback")
_KNOWN_LISTS = ("messaging", "changes", "standby")
_CHANGE = ("field", "value")
"""A change may be given in the entry itself under these two names, instead of in ``changes``."""


def decode(body: bytes) -> list[Entry] | None:
    """The entries of a body that fully matches the schema; ``None`` if it needs
    :func:`decode_loosely`."""
    try:
        decoded = _BODY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if decoded.object != _OBJECT:
        return None
    for entry in decoded.entry:
        if entry.changes or bytes(entry.field) or not (entry.messaging or entry.standby):
            return None
        if not all(item.complete() for item in entry.messaging):
            return None
    return decoded.entry


def decode_loosely(body: bytes) -> Iterator[LooseEntry | ForeignBody | None]:
    """The entries of any webhook body, item by item; ``None`` stands for an unreadable entry.

    Raises :class:`BadRequest` if the body is not JSON or not shaped like a webhook.
    """
    try:
        decoded = json.loads(body, parse_int=_number)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body is not JSON") from error
    bodies = decoded if isinstance(decoded, list) else [decoded]
    if not bodies:
        raise BadRequest("The body is empty")
    if all(problems := [_problem_of(one) for one in bodies]):
        raise BadRequest(problems[0])
    for one, problem in zip(bodies, problems, strict=True):
        if problem:
            yield None
        elif one["object"] == _OBJECT:
            yield from map(_loose, one["entry"])
        else:
            entries = one.get("entry")
            yield ForeignBody(one["object"], len(entries) if isinstance(entries, list) else 0)


def _problem_of(one: Any) -> str:
    """Why this is not a webhook body; empty if it is one."""
    if not isinstance(one, dict) or not isinstance(one.get("object"), str):
        return 'The body is not an object with "object" and "entry"'
    if one["object"] == _OBJECT and not isinstance(one.get("entry"), list):
        return 'The body has no list "entry"'
    return ""


def _number(digits: str) -> int | float:
    """Python refuses integers of thousands of digits, and no field here needs one."""
    return int(digits) if len(digits) < MAX_DIGITS else float(digits)


def content_of(value: Any) -> str:
    """``value`` as JSON that is the same for the same content; ``ValueError`` if it is too deep."""
    try:
        return json.dumps(value, sort_keys=True)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _loose(entry: Any) -> LooseEntry | None:
    if not isinstance(entry, dict):
        return None
    account = entry.get("id")
    if isinstance(account, bool) or not isinstance(account, str | int):
        return None
    messaging, changes, standby = (entry.get(name) for name in _KNOWN_LISTS)
    changes = changes if isinstance(changes, list) else [changes] if _is_change(changes) else []
    change = {name: entry[name] for name in _CHANGE if name in entry}
    if _is_change(change):
        changes = [*changes, change]
    else:
        change = {}
    return LooseEntry(
        id=str(account),
        time=_scalar(entry.get("time")),
        items=[(_item(raw), raw) for raw in _list(messaging)],
        standby=len(standby) if isinstance(standby, list) else 0,
        changes=changes,
        unknown_fields=[
            (name, entry[name])
            for name in sorted(entry)
            if name not in _KNOWN_LISTS
            and name not in change
            and isinstance(entry[name], list | dict)
        ],
        rejected=int(not isinstance(messaging, list | dict | None)),
    )


def _is_change(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("field"), str)


def _list(value: Any) -> list[Any]:
    """A list unchanged, a single object as a list of one, anything else as an empty list."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, dict) and value else []


def _item(raw: Any) -> Item | None:
    """The parts of an item that are objects; other values are ignored. None if it is no object."""
    if not isinstance(raw, dict):
        return None
    parts: dict[str, Any] = {}
    if isinstance(message := raw.get("message"), dict):
        flags = (_flag(message.get(name)) for name in ("is_echo", "is_self", "is_deleted"))
        parts["message"] = Message(_text(message.get("mid")), *flags)
    for name in _REFERENCES:
        if isinstance(part := raw.get(name), dict):
            parts[name] = _reference(part)
    if isinstance(referral := raw.get("referral"), dict):
        with suppress(ValueError):
            parts["referral"] = content_of(referral)
    return Item(timestamp=_scalar(raw.get("timestamp")), **parts)


def _reference(part: dict[str, Any]) -> MessageRef | None:
    mid, content = _text(part.get("mid")), ""
    if not mid:
        try:
            content = content_of(part)
        except ValueError:
            return None
    return MessageRef(mid, _text(part.get("action")), _scalar(part.get("num_edit")), content)


def _flag(value: Any) -> bool:
    """True for ``true``, ``"true"`` and 1; any other value counts as false."""
    return value is True or value == "true" or (type(value) is int and value == 1)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _scalar(value: Any) -> Scalar:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    return None
