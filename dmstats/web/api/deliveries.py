"""The newest deliveries that were not counted as a whole, and the names of unknown events."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.core.clock import rfc3339
from dmstats.db.delivery_store import PARTIAL, REFUSED, DeliveryRecord, EventName
from dmstats.web import services
from dmstats.web.schema.delivery_schemas import DeliveriesAnswer, DeliveriesQuery
from dmstats.web.schema.validation import parameters

blueprint = Blueprint("deliveries", __name__, url_prefix="/api/admin")


@blueprint.get("/deliveries")
def deliveries() -> ResponseReturnValue:
    """The newest deliveries of a group, without one those that were refused or rejected in part."""
    asked = parameters(DeliveriesQuery, request)
    store, limit = services().deliveries, asked["limit"]
    groups = [asked["group"]] if asked["group"] else [REFUSED, PARTIAL]
    found = [record for group in groups for record in store.newest(group, limit)]
    found.sort(key=lambda record: record.at, reverse=True)
    answer = {
        "deliveries": [_delivery_fields(record) for record in found[:limit]],
        "names": [_name_fields(name) for name in store.names()],
    }
    return jsonify(DeliveriesAnswer().dump(answer))


def _delivery_fields(record: DeliveryRecord) -> dict[str, Any]:
    shown = ("group", "status", "entries", "kinds", "counts", "ms")
    return {
        **{name: getattr(record, name) for name in shown},
        "at": rfc3339(record.at),
        "reason": record.reason or None,
        "bytes": record.size,
        "requestId": record.request_id,
        "rejected": [
            {"path": event.path, "kind": event.kind, "account": event.account or None}
            for event in record.rejected
        ],
    }


def _name_fields(name: EventName) -> dict[str, Any]:
    return {
        "name": name.name,
        "counted": name.unknown,
        "firstAt": rfc3339(name.first),
        "lastAt": rfc3339(name.last),
        "keys": sorted(name.keys),
    }
