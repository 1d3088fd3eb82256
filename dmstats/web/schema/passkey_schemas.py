"""The requests and answers about passkeys."""

# ruff: noqa: N815 (fields are named as JSON names them)

from __future__ import annotations

from marshmallow import ValidationError, fields, validate

from dmstats.web.schema.api_schemas import Moment, Strict, Text


def _has_a_name(text: str) -> None:
    if not text.strip():
        raise ValidationError("Must not be empty.")


class PasskeyAnswer(Strict):
    """``credential`` is the JSON of what ``navigator.credentials`` has returned."""

    credential = fields.Dict(keys=fields.String(), required=True)


class NewPasskey(PasskeyAnswer):
    name = Text(required=True, validate=[validate.Length(min=1, max=60), _has_a_name])


class PasskeyOptions(Strict):
    """``options`` is what ``PublicKeyCredential.parseCreationOptionsFromJSON()`` takes."""

    options = fields.Dict(keys=fields.String(), required=True)


class PasskeyShown(Strict):
    """``usedAt`` is null before the first sign-in with it."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    createdAt = Moment(attribute="created_at", required=True)
    usedAt = Moment(attribute="used_at", required=True, allow_none=True)


class PasskeyAdded(PasskeyShown):
    """``recoveryCodes`` is empty for who has some already."""

    recoveryCodes = fields.List(fields.String(), required=True)


class PasskeysShown(Strict):
    passkeys = fields.List(fields.Nested(PasskeyShown), required=True)
