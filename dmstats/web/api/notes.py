"""Annotations: what happened in a range, and notes that people write, change and delete."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.core.clock import MINUTE_MS, rfc3339
from dmstats.core.errors import BadRequest
from dmstats.core.time_zones import zone
from dmstats.db.admins.activity_log import Event
from dmstats.db.annotations import Annotation
from dmstats.history.calendar import Calendar
from dmstats.history.ranges import between, moment
from dmstats.web import services
from dmstats.web.auth.authenticator import signed_in
from dmstats.web.auth.recording import record
from dmstats.web.schema.annotation_schemas import (
    AnnotationAnswer,
    AnnotationsAnswer,
    AnnotationsQuery,
    NewNote,
)
from dmstats.web.schema.validation import body, parameters

blueprint = Blueprint("annotations", __name__, url_prefix="/api/admin/annotations")


@blueprint.get("")
def listing() -> ResponseReturnValue:
    """The annotations of a range, oldest first."""
    asked = parameters(AnnotationsQuery, request)
    calendar = Calendar(zone(asked["tz"] or services().settings.time_zone))
    chosen = between(asked["from_"], asked["to"], calendar, services().clock.now_ms())
    found, complete = services().annotations.between(chosen.from_ms, chosen.to_ms)
    answer = {"annotations": [annotation_fields(each) for each in found], "complete": complete}
    return jsonify(AnnotationsAnswer().dump(answer))


@blueprint.post("")
def add() -> ResponseReturnValue:
    """A new note."""
    me = signed_in()
    at_ms, text = _asked()
    note = services().annotations.store.add(at_ms, text, me.email)
    return _done(Event.NOTE_ADDED, note), 201


@blueprint.post("/<note_id>")
def change(note_id: str) -> ResponseReturnValue:
    """Another time and text for a note."""
    me = signed_in()
    note = services().annotations.store.change(note_id, *_asked(), me.email)
    return _done(Event.NOTE_CHANGED, note)


@blueprint.post("/<note_id>/delete")
def delete(note_id: str) -> ResponseReturnValue:
    """Delete a note; the answer is what it was."""
    return _done(Event.NOTE_DELETED, services().annotations.store.delete(note_id))


def annotation_fields(annotation: Annotation) -> dict[str, Any]:
    """An annotation as it is shown."""
    return {
        "id": annotation.id,
        "kind": annotation.kind,
        "at": rfc3339(annotation.at),
        "text": annotation.text,
        "author": annotation.author or None,
        "changedBy": annotation.changed_by or None,
    }


def _asked() -> tuple[int, str]:
    asked = body(NewNote, request)
    calendar = Calendar(zone(services().settings.time_zone))
    at_ms = moment("at", asked["at"], calendar, is_end=False)
    # The clock of the reader's machine may be a little ahead.
    if at_ms > services().clock.now_ms() + MINUTE_MS:
        raise BadRequest("at: must not be in the future.")
    return at_ms, asked["text"].strip()


def _done(event: Event, note: Annotation) -> Response:
    record(event, rfc3339(note.at), note.text)
    return jsonify(AnnotationAnswer().dump(annotation_fields(note)))
