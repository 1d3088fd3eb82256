"""The alert channels and rules of admins: list, create, change, test, delete."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from dmstats.core.clock import rfc3339
from dmstats.core.errors import BadRequest
from dmstats.db.admins.activity_log import Event
from dmstats.db.alerting import OUTSIDE, Rule, StoredChannel
from dmstats.ops.alerts import send_test
from dmstats.ops.channels import MadeChannel
from dmstats.ops.notifier import Channel
from dmstats.ops.rules import figures_of
from dmstats.ops.runbooks import RUNBOOKS
from dmstats.web import services
from dmstats.web.api.incidents import one_test
from dmstats.web.auth.recording import record
from dmstats.web.schema.alerting_schemas import (
    ChannelAnswer,
    ChannelChange,
    ChannelsAnswer,
    NewChannel,
    NewRule,
    RuleAnswer,
    RulesAnswer,
)
from dmstats.web.schema.incident_schemas import AlertTestAnswer
from dmstats.web.schema.validation import body

blueprint = Blueprint("alerting", __name__, url_prefix="/api/admin/alerts")


@blueprint.get("/channels")
def channels() -> ResponseReturnValue:
    """All channels, without their addresses."""
    answer = {
        "channels": [channel_fields(channel) for channel in services().channels.current()],
        "kinds": {kind: book.title for kind, book in RUNBOOKS.items()},
        "timeZone": services().settings.time_zone,
    }
    return jsonify(ChannelsAnswer().dump(answer))


@blueprint.post("/channels")
def add_channel() -> ResponseReturnValue:
    """Create a channel; the answer does not contain the address."""
    return _saved(Event.CHANNEL_ADDED, body(NewChannel, request), None), 201


@blueprint.post("/channels/<channel_id>")
def change_channel(channel_id: str) -> ResponseReturnValue:
    """Change a channel's name, address, incidents or quiet hours."""
    before = services().alerting.channel(channel_id)
    return _saved(Event.CHANNEL_CHANGED, body(ChannelChange, request), before)


@blueprint.post("/channels/<channel_id>/delete")
def delete_channel(channel_id: str) -> ResponseReturnValue:
    """Delete a channel and its pending alerts."""
    channel = services().alerting.delete_channel(channel_id)
    record(Event.CHANNEL_DELETED, channel.name)
    return jsonify(ChannelAnswer().dump(channel_fields(services().channels.made(channel))))


@blueprint.post("/channels/<channel_id>/test")
def test_channel(channel_id: str) -> ResponseReturnValue:
    """Send a test alert to one channel, also in its quiet hours."""
    channel = services().channels.made(services().alerting.channel(channel_id))
    with one_test():
        ((_, outcome),) = send_test([channel], services().clock.now_ms())
    told = {"channel": channel.label, "told": outcome.told, "problem": outcome.problem or None}
    return jsonify(AlertTestAnswer().dump({"channels": [told]}))


@blueprint.get("/rules")
def rules() -> ResponseReturnValue:
    """All rules, and the figures that a rule can use."""
    found = [rule_fields(rule) for rule in services().alerting.rules()]
    return jsonify(RulesAnswer().dump({"rules": found, "figures": _figures()}))


@blueprint.post("/rules")
def add_rule() -> ResponseReturnValue:
    """A new rule."""
    return _saved_rule(Event.RULE_ADDED, ""), 201


@blueprint.post("/rules/<rule_id>")
def change_rule(rule_id: str) -> ResponseReturnValue:
    """Change a rule; its minutes start again."""
    return _saved_rule(Event.RULE_CHANGED, rule_id)


@blueprint.post("/rules/<rule_id>/delete")
def delete_rule(rule_id: str) -> ResponseReturnValue:
    """Delete a rule and end its incident."""
    rule = services().alerting.delete_rule(rule_id)
    record(Event.RULE_DELETED, rule.figure, _words(rule))
    return jsonify(RuleAnswer().dump(rule_fields(rule)))


def channel_fields(channel: Channel) -> dict[str, Any]:
    """A channel as it is shown."""
    if not isinstance(channel, MadeChannel):
        quiet = {"incidents": None, "quietFrom": None, "quietTo": None}
        return {"id": None, "name": channel.label, "address": channel.label, **quiet}
    stored = channel.stored
    is_quiet = stored.quiet_from != stored.quiet_to
    return {
        "id": stored.id,
        "name": stored.name,
        "address": channel.address_kind or None,
        "incidents": None if stored.incidents is None else list(stored.incidents),
        "quietFrom": _time(stored.quiet_from) if is_quiet else None,
        "quietTo": _time(stored.quiet_to) if is_quiet else None,
    }


def rule_fields(rule: Rule) -> dict[str, Any]:
    """A rule as it is shown."""
    return {
        **{name: getattr(rule, name) for name in ("id", "figure", "sense", "minutes")},
        "threshold": None if rule.sense == OUTSIDE else rule.threshold,
        "since": rfc3339(rule.since) if rule.since else None,
    }


def _saved(event: Event, asked: dict[str, Any], before: StoredChannel | None) -> Response:
    url, incidents = asked["url"], asked["incidents"]
    channel = StoredChannel(
        name=asked["name"].strip(),
        sealed=before.sealed if before and url is None else services().channels.seal(url),
        incidents=None if incidents is None else tuple(dict.fromkeys(incidents)),
        quiet_from=_minute(asked["quietFrom"]),
        quiet_to=_minute(asked["quietTo"]),
        id=before.id if before else "",
    )
    if url is not None:
        # Refuse an unusable address now, not when an incident has to be sent.
        with one_test():
            checked = services().channels.made(channel).check()
        if not checked.told:
            raise BadRequest(f"url: {checked.problem}.")
    stored = services().alerting.save_channel(channel)
    record(event, stored.name)
    return jsonify(ChannelAnswer().dump(channel_fields(services().channels.made(stored))))


def _saved_rule(event: Event, rule_id: str) -> Response:
    asked = body(NewRule, request)
    if asked["sense"] != OUTSIDE and asked["figure"] not in _figures():
        raise BadRequest("figure: Must be one of the figures that GET lists.")
    rule = Rule(
        asked["figure"], asked["sense"], asked["threshold"] or 0.0, asked["minutes"], id=rule_id
    )
    stored = services().alerting.save_rule(rule)
    record(event, stored.figure, _words(stored))
    return jsonify(RuleAnswer().dump(rule_fields(stored)))


def _figures() -> dict[str, float]:
    return figures_of(msgspec.json.decode(services().reader.current().body))


def _words(rule: Rule) -> str:
    threshold = "of the expected range" if rule.sense == OUTSIDE else f"{rule.threshold:g}"
    return f"{rule.sense} {threshold} for {rule.minutes} minutes"


def _minute(time: str | None) -> int:
    return int(time[:2]) * 60 + int(time[3:]) if time else 0


def _time(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
