"""The requests and answers of the admin API as marshmallow schemas; unknown fields are refused."""

# ruff: noqa: N815, ARG002 (fields are named as JSON names them; marshmallow sets the signatures)

from __future__ import annotations

from datetime import datetime
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from dmstats.core.clock import rfc3339, to_ms
from dmstats.core.time_zones import zone_name
from dmstats.db.admins.admin import Refusal
from dmstats.db.admins.roles import Role
from dmstats.db.states.state_record import State

MONTH = r"\d{4}-\d\d\Z"
RFC3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z"


class Strict(Schema):
    """A schema that refuses every field it does not know."""

    class Meta:
        unknown = RAISE


class Text(fields.String):
    """A string of printable characters: no control characters, no halves of a surrogate pair."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not text.isprintable():
            raise ValidationError("Contains characters that cannot be printed.")
        return text


class Zone(Text):
    """The name of a time zone."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        try:
            return zone_name(super()._deserialize(value, attr, data, **kwargs))
        except ValueError as error:
            if isinstance(error, ValidationError):
                raise
            raise ValidationError(f"Must be {error}.") from None


def not_blank(text: str) -> None:
    """A validator that refuses spaces alone."""
    if not text.strip():
        raise ValidationError("Must not be empty.")


class Moment(fields.Field[str]):
    """A time: RFC 3339 in UTC outside, a ``datetime`` (or such text already) inside."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        if isinstance(value, datetime):
            return rfc3339(to_ms(value))
        return value if isinstance(value, str) else None

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        validate.Regexp(RFC3339, error="Not a time in RFC 3339, UTC.")(str(value))
        return str(value)


def count() -> fields.Integer:
    """A whole number from 0 up."""
    return fields.Integer(strict=True, required=True, validate=validate.Range(min=0))


def known_count() -> fields.Integer:
    """As :func:`count`; null if the value in the database is unreadable."""
    return fields.Integer(
        strict=True, required=True, allow_none=True, validate=validate.Range(min=0)
    )


def platform_count() -> fields.Integer:
    """A counter in the host platform's document, which may hold any value."""
    return fields.Integer(strict=True, required=True, allow_none=True)


class Credentials(Strict):
    email = fields.String(required=True, validate=validate.Length(min=1, max=320))
    password = fields.String(required=True, validate=validate.Length(min=1, max=4096))
    code = fields.String(load_default=None, validate=validate.Length(max=40))
    next = fields.String(load_default=None, allow_none=True)


class SecondFactorCode(Strict):
    code = fields.String(required=True, validate=validate.Length(min=1, max=40))
    next = fields.String(load_default=None, allow_none=True)


class CodeOfApp(Strict):
    code = fields.String(required=True, validate=validate.Length(min=1, max=40))


class SecondFactorOffer(Strict):
    """``secret`` is what to type into an app, ``address`` and ``image`` (an SVG as a ``data:``
    address) the same for a QR code."""

    secret = fields.String(required=True)
    address = fields.String(required=True)
    image = fields.String(required=True)


class RecoveryCodesAnswer(Strict):
    recoveryCodes = fields.List(fields.String(), required=True)


def role(**options: Any) -> fields.Enum[Role]:
    return fields.Enum(Role, by_value=True, **options)


class NewAdmin(Strict):
    email = Text(required=True, validate=validate.Length(max=320))
    password = fields.String(required=True)
    role = role(load_default=Role.ADMIN)


class NewRole(Strict):
    role = role(required=True)


class NewPassword(Strict):
    """``currentPassword`` is the requesting admin's, whichever password is changed."""

    currentPassword = fields.String(required=True)
    password = fields.String(required=True)


class Invitation(Strict):
    email = Text(required=True, validate=validate.Length(max=320))
    role = role(load_default=Role.ADMIN)


class LinkRequest(Strict):
    """``currentPassword`` is that of the signed-in admin."""

    currentPassword = fields.String(required=True)


class ChosenPassword(Strict):
    link = fields.String(required=True, validate=validate.Length(max=200))
    password = fields.String(required=True)


class RefusalAnswer(Strict):
    """Why and when the last sign-in through the provider was refused."""

    reason = fields.Enum(Refusal, by_value=True, required=True)
    at = Moment(required=True, allow_none=True)


class AdminAnswer(Strict):
    """A person who is only ``invited`` has no password yet. A ``refused`` person has no role at the
    provider any more, and no way to sign in works until a sign-in there succeeds."""

    id = fields.String(required=True)
    email = fields.String(required=True)
    role = role(required=True)
    disabled = fields.Boolean(required=True)
    invited = fields.Boolean(required=True)
    secondFactor = fields.Boolean(attribute="second_factor", required=True)
    refused = fields.Boolean(required=True)
    refusal = fields.Nested(RefusalAnswer, required=True, allow_none=True)
    createdAt = fields.String(attribute="created_at", required=True, allow_none=True)


class LinkAnswer(Strict):
    """``link`` is null if it was mailed; ``problem`` is the reason if that failed."""

    admin = fields.Nested(AdminAnswer, required=True)
    link = fields.String(required=True, allow_none=True)
    mailed = fields.Boolean(required=True)
    endsAt = Moment(attribute="ends_at", required=True)
    problem = fields.String(required=True, allow_none=True)


class ActivityBucket(Strict):
    """DMs of the hour or day that begins ``at``; null if unknown."""

    at = Moment(required=True)
    sent = fields.Integer(required=True, allow_none=True)
    received = fields.Integer(required=True, allow_none=True)


class ActivityAnswer(Strict):
    """``at``: the moment that the last audit counted the account; null before the first has ended.
    The last hour and the last day are those that hold it, up to then."""

    at = Moment(required=True, allow_none=True)
    hours = fields.List(fields.Nested(ActivityBucket), required=True)
    days = fields.List(fields.Nested(ActivityBucket), required=True)
    hourlyDmLimit = fields.Integer(required=True, allow_none=True)


class HourlyUse(Strict):
    """DMs ``sent`` in the UTC hour that began ``at`` and in the one ``before``, as far as passes
    over the accounts have seen them; null if unknown. ``limitReachedAt`` is when the running hour
    reaches the ``limit`` at its pace so far; null if it does not, or has."""

    at = Moment(required=True)
    sent = fields.Integer(required=True, allow_none=True)
    before = fields.Integer(required=True, allow_none=True)
    limit = fields.Integer(required=True)
    limitReachedAt = Moment(required=True, allow_none=True)


class AccountAnswer(Strict):
    """``instagramId`` is empty where the document has none that can be read. ``needsAttention``
    names the fields whose values cannot be read (null here), and ``instagramId`` unless it is a
    text: no DM is counted for a number. ``documentId`` finds the document. ``limitReachedAt`` is
    when it reaches its limit if it goes on as in this month so far; null if it does not, or has.
    ``states`` are as of the last pass over the accounts; null if none has seen it.
    Of one account only, not in lists: ``deauthorizedAt``, when its owner withdrew the app's
    access, unless DMs came later; ``deletionAskedAt``, when its owner asked for deletion;
    ``hourlyUse``, null without a limit per hour and where no pass has seen the account."""

    documentId = fields.String(required=True)
    needsAttention = fields.List(fields.String(), required=True)
    instagramId = fields.String(required=True)
    username = fields.String(required=True, allow_none=True)
    isActive = fields.Boolean(required=True)
    createdAt = Moment(required=True, allow_none=True)
    dmUsed = platform_count()
    monthlyDmUsed = platform_count()
    currentMonth = fields.String(required=True, validate=validate.Regexp(MONTH))
    monthlyDmLimit = fields.Integer(required=True, allow_none=True)
    lastDMSent = Moment(required=True, allow_none=True)
    dmReceived = platform_count()
    lastDMReceived = Moment(required=True, allow_none=True)
    limitReachedAt = Moment(required=True, allow_none=True)
    states = fields.List(
        fields.String(validate=validate.OneOf([*State])), required=True, allow_none=True
    )
    deauthorizedAt = Moment(allow_none=True)
    deletionAskedAt = Moment(allow_none=True)
    hourlyUse = fields.Nested(HourlyUse, allow_none=True)


class RefreshAnswer(Strict):
    version = fields.String(required=True)
    published = fields.Boolean(required=True)
    rateLimited = fields.Boolean(required=True)
    computeMs = fields.Float(required=True)
    dbQueries = fields.Integer(required=True)


class CronAnswer(RefreshAnswer):
    success = fields.Boolean(required=True)
