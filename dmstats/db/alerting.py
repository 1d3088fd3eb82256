"""The alert channels and rules that admins created, in ``dmstats_alert_channels`` and
``dmstats_alert_rules``."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from bson import ObjectId
from pymongo.collection import Collection

from dmstats.core.clock import EpochMs, to_datetime
from dmstats.core.errors import BadRequest, NotFound
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, deadline, translated
from dmstats.db.collection_names import ALERT_CHANNELS, ALERT_RULES

T = TypeVar("T")

MAX_ENTRIES = 20
"""The maximum number of channels, and of rules. The watchdog reads all of them every 15 s."""
SECONDS = 2.0
"""With a longer limit the watchdog would report late that MongoDB does not answer."""

ABOVE, BELOW, OUTSIDE = "above", "below", "outside"
SENSES = (ABOVE, BELOW, OUTSIDE)
BY_HOUR = ("sent", "received")
"""The figures that have an expected range, by full hours."""
MAX_MINUTES = 24 * 60


class StoredChannel(msgspec.Struct, frozen=True):
    """``sealed`` is the address, encrypted. ``incidents`` are the kinds that it is notified of,
    None for all. It is quiet from ``quiet_from`` to ``quiet_to``, minutes of the day, unless these
    are equal."""

    name: str
    sealed: str
    incidents: tuple[str, ...] | None = None
    quiet_from: int = 0
    quiet_to: int = 0
    id: str = ""


class Rule(msgspec.Struct, frozen=True):
    """An incident while ``figure`` is "above" or "below" the ``threshold``, or "outside" of what is
    expected, for ``minutes``. ``since`` is the time from which the rule has been met (ms), 0 if it
    is not met."""

    figure: str
    sense: str
    threshold: float = 0.0
    minutes: int = 0
    since: EpochMs = 0
    id: str = ""


class AlertingStore:
    """Every method may raise :class:`~dmstats.core.errors.DmstatsError`. Documents that cannot be
    read are left out."""

    def __init__(self, mongo: Mongo) -> None:
        self._channels = mongo.db[ALERT_CHANNELS]
        self._rules = mongo.db[ALERT_RULES]

    def channels(self) -> list[StoredChannel]:
        """All channels, oldest first."""
        with translated(), deadline(SECONDS):
            found = list(self._channels.find({}).sort("_id", 1).limit(MAX_ENTRIES))
        return [each for each in map(_channel, found) if each is not None]

    def channel(self, channel_id: str) -> StoredChannel:
        """The channel with that id. Raises :class:`NotFound`."""
        with translated(), deadline(SECONDS):
            found = self._channels.find_one(_key(channel_id, "channel"))
        channel = _channel(found) if found else None
        if channel is None:
            raise NotFound("This channel does not exist.")
        return channel

    def save_channel(self, channel: StoredChannel) -> StoredChannel:
        """Add a channel, or change the one with its id; returns it as stored. Raises
        :class:`NotFound`, and :class:`BadRequest` if there are :data:`MAX_ENTRIES`."""
        document = msgspec.to_builtins(channel)
        key = _save(self._channels, "channel", document.pop("id"), document)
        return msgspec.structs.replace(channel, id=key)

    def delete_channel(self, channel_id: str) -> StoredChannel:
        """Delete it; what it was. Raises :class:`NotFound`."""
        channel = self.channel(channel_id)
        with translated(), deadline(SECONDS):
            self._channels.delete_one(_key(channel_id, "channel"))
        return channel

    def rules(self) -> list[Rule]:
        """All rules, oldest first."""
        with translated(), deadline(SECONDS):
            found = list(self._rules.find({}).sort("_id", 1).limit(MAX_ENTRIES))
        return [each for each in map(_rule, found) if each is not None]

    def save_rule(self, rule: Rule) -> Rule:
        """Add the rule, or change the one with its id; returns it as stored, so met for no time
        yet. Raises :class:`NotFound`, and :class:`BadRequest` if there are :data:`MAX_ENTRIES`."""
        document = msgspec.to_builtins(rule) | {"since": None}
        key = _save(self._rules, "rule", document.pop("id"), document)
        return msgspec.structs.replace(rule, id=key, since=0)

    def note_since(self, rule: Rule, since_ms: int) -> None:
        """Note since when it is so; 0: it is not any more."""
        since = to_datetime(since_ms) if since_ms else None
        with translated(), deadline(SECONDS):
            self._rules.update_one(_key(rule.id, "rule"), {"$set": {"since": since}})

    def delete_rule(self, rule_id: str) -> Rule:
        """Delete it; what it was. Raises :class:`NotFound`."""
        with translated(), deadline(SECONDS):
            found = self._rules.find_one_and_delete(_key(rule_id, "rule"))
        rule = _rule(found) if found else None
        if rule is None:
            raise NotFound("This rule does not exist.")
        return rule


def _save(collection: Collection[Document], what: str, key: str | None, document: Document) -> str:
    """Replace the document with that id, or add one without an id; returns the id."""
    with translated(), deadline(SECONDS):
        if key:
            if not collection.replace_one(_key(key, what), document).matched_count:
                raise NotFound(f"This {what} does not exist.")
            return key
        if collection.count_documents({}, limit=MAX_ENTRIES) >= MAX_ENTRIES:
            raise BadRequest(f"There are already {MAX_ENTRIES} {what}s.")
        return str(collection.insert_one(document).inserted_id)


def _key(key: str, what: str) -> Document:
    if not ObjectId.is_valid(key):
        raise NotFound(f"This {what} does not exist.")
    return {"_id": ObjectId(key)}


def _channel(found: Document) -> StoredChannel | None:
    return _read(found, StoredChannel)


def _rule(found: Document) -> Rule | None:
    rule = _read(found | {"since": typed.own_moment(found.get("since")) or 0}, Rule)
    return rule if rule is not None and _can_be_checked(rule) else None


def _can_be_checked(rule: Rule) -> bool:
    """Checks a rule's values, because a document may contain anything after a bad restore."""
    has_range = rule.sense != OUTSIDE or rule.figure in BY_HOUR
    return has_range and rule.sense in SENSES and 0 <= rule.minutes <= MAX_MINUTES


def _read(found: Document, kind: type[T]) -> T | None:
    fields = {name: typed.json_ready(value) for name, value in found.items()}
    try:
        return msgspec.convert(fields | {"id": typed.document_id(found["_id"])}, kind)
    except msgspec.ValidationError:
        return None
