"""The requests and answers of Meta's callbacks about users."""

from __future__ import annotations

from marshmallow import EXCLUDE, Schema, fields, validate

from dmstats.web.schema.api_schemas import Strict


class SignedRequest(Schema):
    """A form, as Meta sends it. Other fields may come with it."""

    class Meta:
        unknown = EXCLUDE

    signed_request = fields.String(required=True, validate=validate.Length(min=3, max=8192))


class DeletionAnswer(Strict):
    """``url`` is the status page of the request."""

    url = fields.String(required=True)
    confirmation_code = fields.String(required=True)


class NotedAnswer(Strict):
    success = fields.Boolean(required=True)
