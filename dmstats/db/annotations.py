"""Dated notes in ``dmstats_annotations``: those of people, and the starts of new versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from dmstats.core.clock import Clock, EpochMs, to_datetime
from dmstats.core.errors import BadRequest, NotFound
from dmstats.db import typed
from dmstats.db.client import Document, Mongo, deadline, translated
from dmstats.db.collection_names import ANNOTATIONS

NOTE, VERSION = "note", "version"
MAX_NOTES = 500
MAX_TEXT_LENGTH = typed.MAX_TEXT_LENGTH
SECONDS = 3.0

MISSING = "This note does not exist."


@dataclass(frozen=True, slots=True)
class Annotation:
    """Something that happened ``at`` a time (ms). ``author`` is the email of a note's author, and
    ``changed_by`` that of its last editor; otherwise empty."""

    id: str
    kind: str
    at: EpochMs
    text: str
    author: str = ""
    changed_by: str = ""


class AnnotationStore:
    """Every method may raise :class:`~dmstats.core.errors.DmstatsError`."""

    def __init__(self, mongo: Mongo, clock: Clock) -> None:
        self._annotations = mongo.db[ANNOTATIONS]
        self._clock = clock

    def between(self, from_ms: int, to_ms: int, limit: int) -> list[Annotation]:
        """The newest ``limit`` notes from ``from_ms`` to ``to_ms`` (exclusive), newest first."""
        span = {"at": {"$gte": to_datetime(from_ms), "$lt": to_datetime(to_ms)}}
        with translated(), deadline(SECONDS):
            found = list(self._annotations.find(span).sort("at", -1).limit(limit))
        return [annotation for annotation in map(_annotation, found) if annotation is not None]

    def add(self, at_ms: int, text: str, author: str) -> Annotation:
        """A new note. Raises :class:`BadRequest` if there are :data:`MAX_NOTES`."""
        with translated(), deadline(SECONDS):
            if self._annotations.count_documents({"kind": NOTE}, limit=MAX_NOTES) >= MAX_NOTES:
                raise BadRequest(f"There are already {MAX_NOTES} notes: delete some first.")
            return self._insert(NOTE, at_ms, text, author=author)

    def change(self, note_id: str, at_ms: int, text: str, by: str) -> Annotation:
        """Change a note's time and text, and record ``by`` (an email) as its last editor. Raises
        :class:`NotFound`."""
        change = {"at": to_datetime(at_ms), "text": text, "changedBy": by}
        with translated(), deadline(SECONDS):
            found = self._annotations.find_one_and_update(_note(note_id), {"$set": change})
        return _only(found and found | change)

    def delete(self, note_id: str) -> Annotation:
        """Delete a note and return it. Raises :class:`NotFound`."""
        with translated(), deadline(SECONDS):
            return _only(self._annotations.find_one_and_delete(_note(note_id)))

    def note_version(self, version: str) -> bool:
        """Record that ``version`` of dmstats runs from now on, unless the newest such note is
        already about it. Returns whether it was new."""
        # A note with a future time comes from a wrong clock, and would stay the newest.
        past = {"kind": VERSION, "at": {"$lte": to_datetime(self._clock.now_ms())}}
        with translated(), deadline(SECONDS):
            last = self._annotations.find_one(past, sort=[("at", -1)]) or {}
            if typed.text(last.get("version")) == version:
                return False
            text = f"dmstats {version} was started for the first time."
            self._insert(VERSION, self._clock.now_ms(), text, version=version)
        return True

    def _insert(self, kind: str, at_ms: int, text: str, **more: str) -> Annotation:
        document: Document = {
            "_id": ObjectId(), "kind": kind, "at": to_datetime(at_ms), "text": text,
            "createdAt": to_datetime(self._clock.now_ms()), **more,
        }  # fmt: skip
        self._annotations.insert_one(document)
        return _only(document)


def _note(note_id: str) -> Document:
    if not ObjectId.is_valid(note_id):
        raise NotFound(MISSING)
    return {"_id": ObjectId(note_id), "kind": NOTE}


def _annotation(found: Document) -> Annotation | None:
    """The annotation in ``found``; None for a document that dmstats did not write."""
    at, text = typed.own_moment(found.get("at")), typed.text(found.get("text"))
    kind: Any = found.get("kind")
    if at is None or text is None or kind not in (NOTE, VERSION):
        return None
    author = typed.text(found.get("author")) or ""
    changed_by = typed.text(found.get("changedBy")) or ""
    return Annotation(typed.document_id(found.get("_id")), kind, at, text, author, changed_by)


def _only(found: Document | None) -> Annotation:
    annotation = _annotation(found) if found else None
    if annotation is None:
        raise NotFound(MISSING)
    return annotation
