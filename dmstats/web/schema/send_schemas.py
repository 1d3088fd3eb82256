"""The platform's reports of sent DMs, and the answers about lost DMs."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from marshmallow import fields, validate

from dmstats.db.send_store import DAYS_KEPT
from dmstats.web.schema.api_schemas import Moment, Strict, count

MAX_SENDS = 1_000
MAX_MID_LENGTH = 512
ACCOUNT = r"[A-Za-z0-9_.-]{1,64}\Z"


class SendItem(Strict):
    """``mid`` is what the Send API answered as the message's id; ``at`` when it did: without it,
    now."""

    mid = fields.String(required=True, validate=validate.Length(min=1, max=MAX_MID_LENGTH))
    account = fields.String(
        required=True, validate=validate.Regexp(ACCOUNT, error="Not an Instagram id.")
    )
    at = Moment(load_default=None)


class Sends(Strict):
    sends = fields.List(
        fields.Nested(SendItem), required=True, validate=validate.Length(min=1, max=MAX_SENDS)
    )


class SendsAnswer(Strict):
    """``repeated``: reported before, or twice in this call."""

    accepted = count()
    repeated = count()


class DaysQuery(Strict):
    days = fields.Integer(load_default=30, validate=validate.Range(min=1, max=DAYS_KEPT))


class LostQuery(DaysQuery):
    limit = fields.Integer(load_default=100, validate=validate.Range(min=1, max=500))


class LostDay(Strict):
    """``sends`` are the reported DMs of that UTC day that are older than 10 minutes; ``late`` had
    an echo after 10 minutes, ``lost`` have none yet; ``lostShare`` is from 0 to 1."""

    day = fields.Date(required=True)
    sends = count()
    late = count()
    lost = count()
    lostShare = fields.Float(attribute="lost_share", required=True, allow_none=True)


class LostAccountDay(LostDay):
    instagramId = fields.String(attribute="account", required=True)
    username = fields.String(required=True, allow_none=True)


class AccountLostAnswer(Strict):
    days = fields.List(fields.Nested(LostDay), required=True)


class LostAnswer(AccountLostAnswer):
    """``days`` are of all accounts together; ``accounts`` those with lost DMs, the newest day and
    most lost first; ``complete`` is false if there are more."""

    accounts = fields.List(fields.Nested(LostAccountDay), required=True)
    complete = fields.Boolean(required=True)
