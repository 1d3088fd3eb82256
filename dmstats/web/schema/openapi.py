"""The OpenAPI description, generated from the schemas that validate requests and answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Flask, Response
from flask.typing import ResponseReturnValue
from marshmallow import Schema, validate

from dmstats import __version__
from dmstats.core.constants import WEBHOOK_PATH
from dmstats.web.schema import (
    account_edit_schemas,
    account_schemas,
    activity_log_schemas,
    alerting_schemas,
    annotation_schemas,
    api_schemas,
    delivery_schemas,
    documented_only,
    history_schemas,
    incident_schemas,
    meta_schemas,
    passkey_schemas,
    send_schemas,
    shared_link_schemas,
    snapshot_schema,
    token_schemas,
)

PATH = "/api/openapi.json"
Content = type[Schema] | str
Answers = dict[int, Content | tuple[Content, ...]]
"""By status: the schema of a JSON answer, or another answer's media type; or several."""

ADMIN: list[dict[str, list[str]]] = [{"session": []}, {"token": []}]
SESSION: list[dict[str, list[str]]] = [{"session": []}]
CRON: list[dict[str, list[str]]] = [{"cronSecret": []}]
PROBLEMS = {
    400: "The request is malformed or not allowed.",
    401: "Not signed in, or signature missing.",
    403: "Not allowed.",
    404: "The resource does not exist.",
    408: "The body arrived too slowly.",
    409: "The resource already exists, or has changed.",
    413: "The body is too large.",
    429: "Too many requests; see Retry-After.",
    503: "Temporarily unavailable; see Retry-After.",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    path: str
    method: str
    summary: str
    answers: Answers
    problems: tuple[int, ...] = ()
    security: list[dict[str, list[str]]] | None = None
    query: type[Schema] | None = None
    body: Content | None = None


TOKEN: list[dict[str, list[str]]] = [{"token": []}]
TOKENS, ANNOTATIONS = "/api/admin/tokens", "/api/admin/annotations"
CHANNELS, RULES = "/api/admin/alerts/channels", "/api/admin/alerts/rules"
STATS, ADMINS, ME = "/api/admin/stats", "/api/admin/admins", "/api/admin/me"
READING, CHANGING = (401, 403, 503), (400, 401, 403, 408, 413, 503)

OPERATIONS = (
    Operation(WEBHOOK_PATH, "get", "Meta's handshake", {200: "text/plain"}, (403,),
              query=documented_only.Handshake),
    Operation(WEBHOOK_PATH, "post", "A signed delivery", {200: documented_only.DeliveryAnswer},
              (400, 401, 408, 413, 503)),
    Operation("/api/meta/data-deletion", "post", "A user's deletion request, from Meta",
              {200: meta_schemas.DeletionAnswer}, (400, 408, 413, 503),
              body=meta_schemas.SignedRequest),
    Operation("/api/meta/deauthorize", "post", "A user has withdrawn the app's access, from Meta",
              {200: meta_schemas.NotedAnswer}, (400, 408, 413, 503),
              body=meta_schemas.SignedRequest),
    Operation(STATS, "get", "The figures", {200: snapshot_schema.Snapshot, 304: ""},
              READING, ADMIN),
    Operation(f"{STATS}/stream", "get", "A stream of the figures", {200: "text/event-stream"},
              READING, ADMIN, query=documented_only.StreamQuery),
    Operation("/api/admin/traffic", "get", "Whether deliveries fail or do not arrive",
              {200: documented_only.TrafficAnswer}, READING, ADMIN),
    Operation(f"{STATS}/refresh", "post", "Refresh now", {202: api_schemas.RefreshAnswer},
              (401, 403, 429, 503), ADMIN),
    Operation("/api/cron/refresh-admin-stats", "get", "Refresh, for a cron job",
              {200: api_schemas.CronAnswer}, (401, 503), CRON),
    Operation("/api/cron/refresh-admin-stats", "post", "Refresh, for a cron job",
              {200: api_schemas.CronAnswer}, (401, 503), CRON),
    Operation("/api/admin/history", "get", "Counted DMs of a range, as JSON or (format) as CSV",
              {200: (history_schemas.HistoryAnswer, "text/csv"), 304: ""}, (400, *READING), ADMIN,
              query=history_schemas.HistoryQuery),
    Operation(ANNOTATIONS, "get", "The annotations of a range",
              {200: annotation_schemas.AnnotationsAnswer}, (400, *READING), ADMIN,
              query=annotation_schemas.AnnotationsQuery),
    Operation(ANNOTATIONS, "post", "Write a note", {201: annotation_schemas.AnnotationAnswer},
              CHANGING, SESSION, body=annotation_schemas.NewNote),
    Operation(ANNOTATIONS + "/{note_id}", "post", "Change a note",
              {200: annotation_schemas.AnnotationAnswer}, (404, *CHANGING), SESSION,
              body=annotation_schemas.NewNote),
    Operation(ANNOTATIONS + "/{note_id}/delete", "post", "Delete a note",
              {200: annotation_schemas.AnnotationAnswer}, (404, *CHANGING), SESSION),
    Operation("/api/admin/accounts", "get", "A page of accounts",
              {200: account_schemas.AccountsAnswer}, (400, *READING), ADMIN,
              query=account_schemas.AccountsQuery),
    Operation("/api/admin/accounts/export", "get", "All accounts, as CSV or (format) as JSON",
              {200: ("text/csv", "application/json")}, (400, *READING), ADMIN,
              query=account_schemas.AccountExportQuery),
    Operation("/api/admin/accounts/{instagram_id}", "get", "One account",
              {200: api_schemas.AccountAnswer}, (404, *READING), ADMIN),
    Operation("/api/admin/accounts/{instagram_id}", "patch",
              "Change an account's name, limit or activity", {200: api_schemas.AccountAnswer},
              (404, 409, *CHANGING), ADMIN, body=account_edit_schemas.AccountPatch),
    Operation("/api/admin/accounts/import", "post",
              "Preview the import of a CSV file with names, limits and activity, or (apply) "
              "import it",
              {200: account_edit_schemas.ImportAnswer}, (409, *CHANGING), ADMIN,
              query=account_edit_schemas.ImportQuery, body="text/csv"),
    Operation("/api/admin/accounts/{instagram_id}/activity", "get",
              "One account's last 24 hours and 7 days",
              {200: api_schemas.ActivityAnswer}, (404, *READING), ADMIN),
    Operation("/api/admin/accounts/{instagram_id}/history", "get",
              "The DMs of one account in a range, as JSON or (format) as CSV",
              {200: (history_schemas.HistoryAnswer, "text/csv")}, (400, 404, *READING), ADMIN,
              query=history_schemas.AccountHistoryQuery),
    Operation("/api/admin/deliveries", "get",
              "The newest deliveries that were refused or partly rejected, and unknown events",
              {200: delivery_schemas.DeliveriesAnswer}, (400, *READING), ADMIN,
              query=delivery_schemas.DeliveriesQuery),
    Operation("/api/sends", "post", "Report DMs that the platform has sent, to find lost ones",
              {202: send_schemas.SendsAnswer}, CHANGING, TOKEN, body=send_schemas.Sends),
    Operation("/api/admin/lost", "get", "DMs without an echo, by day and account",
              {200: send_schemas.LostAnswer}, (400, *READING), ADMIN,
              query=send_schemas.LostQuery),
    Operation("/api/admin/accounts/{instagram_id}/lost", "get", "One account's DMs without an echo",
              {200: send_schemas.AccountLostAnswer}, (400, *READING), ADMIN,
              query=send_schemas.DaysQuery),
    Operation("/api/admin/incidents", "get", "The incidents of the last 90 days",
              {200: incident_schemas.IncidentsAnswer}, READING, ADMIN),
    Operation("/api/admin/incidents/{incident_id}", "get", "One incident, with its runbook",
              {200: incident_schemas.IncidentAnswer}, (404, *READING), ADMIN),
    Operation("/api/admin/alerts/test", "post", "Send a test alert to every channel",
              {200: incident_schemas.AlertTestAnswer}, (429, *CHANGING), SESSION),
    Operation(CHANNELS, "get", "The alert channels, without their addresses",
              {200: alerting_schemas.ChannelsAnswer}, READING, SESSION),
    Operation(CHANNELS, "post", "Create an alert channel", {201: alerting_schemas.ChannelAnswer},
              (429, *CHANGING), SESSION, body=alerting_schemas.NewChannel),
    Operation(CHANNELS + "/{channel_id}", "post", "Change an alert channel",
              {200: alerting_schemas.ChannelAnswer}, (404, 429, *CHANGING), SESSION,
              body=alerting_schemas.ChannelChange),
    Operation(CHANNELS + "/{channel_id}/delete", "post", "Delete an alert channel",
              {200: alerting_schemas.ChannelAnswer}, (404, *CHANGING), SESSION),
    Operation(CHANNELS + "/{channel_id}/test", "post", "Send a test alert to one channel",
              {200: incident_schemas.AlertTestAnswer}, (404, 429, *CHANGING), SESSION),
    Operation(RULES, "get", "The alert rules", {200: alerting_schemas.RulesAnswer}, READING,
              SESSION),
    Operation(RULES, "post", "Create an alert rule", {201: alerting_schemas.RuleAnswer}, CHANGING,
              SESSION, body=alerting_schemas.NewRule),
    Operation(RULES + "/{rule_id}", "post", "Change an alert rule",
              {200: alerting_schemas.RuleAnswer}, (404, *CHANGING), SESSION,
              body=alerting_schemas.NewRule),
    Operation(RULES + "/{rule_id}/delete", "post", "Delete an alert rule",
              {200: alerting_schemas.RuleAnswer}, (404, *CHANGING), SESSION),
    Operation(ADMINS, "get", "The people who can sign in", {200: documented_only.AdminsAnswer},
              READING, SESSION),
    Operation(ADMINS, "post", "Add a person", {201: api_schemas.AdminAnswer}, (409, *CHANGING),
              SESSION, body=api_schemas.NewAdmin),
    Operation(ADMINS + "/invite", "post", "Invite a person with a link to choose a password",
              {201: api_schemas.LinkAnswer}, (409, *CHANGING), SESSION,
              body=api_schemas.Invitation),
    Operation(ADMINS + "/{admin_id}/link", "post", "Create a link to choose a new password",
              {200: api_schemas.LinkAnswer}, (404, 429, *CHANGING), SESSION,
              body=api_schemas.LinkRequest),
    Operation(ADMINS + "/{admin_id}/role", "post", "Change a person's role",
              {200: api_schemas.AdminAnswer}, (404, 409, *CHANGING), SESSION,
              body=api_schemas.NewRole),
    Operation(ADMINS + "/{admin_id}/disable", "post", "Disable a person",
              {200: api_schemas.AdminAnswer}, (404, 409, *CHANGING), SESSION),
    Operation(ADMINS + "/{admin_id}/enable", "post", "Enable a person",
              {200: api_schemas.AdminAnswer}, (404, *CHANGING), SESSION),
    Operation(ADMINS + "/{admin_id}/sign-out", "post", "End all sessions of a person",
              {200: api_schemas.AdminAnswer}, (404, *CHANGING), SESSION),
    Operation(ADMINS + "/{admin_id}/password", "post", "Set a person's password",
              {200: api_schemas.AdminAnswer}, (404, 429, *CHANGING), SESSION,
              body=api_schemas.NewPassword),
    Operation(ME, "get", "The signed-in person", {200: api_schemas.AdminAnswer}, READING, SESSION),
    Operation(ME + "/password", "post", "Set your own password", {200: api_schemas.AdminAnswer},
              (429, *CHANGING), SESSION, body=api_schemas.NewPassword),
    Operation(ME + "/sign-out", "post", "End all of your sessions", {204: ""},
              (401, 403, 503), SESSION),
    Operation(ME + "/second-factor", "post", "Start setting up a second factor",
              {200: api_schemas.SecondFactorOffer}, (429, *CHANGING), SESSION,
              body=api_schemas.LinkRequest),
    Operation(ME + "/second-factor/confirm", "post", "Confirm a second factor",
              {200: api_schemas.RecoveryCodesAnswer}, (429, *CHANGING), SESSION,
              body=api_schemas.CodeOfApp),
    Operation(ME + "/second-factor/remove", "post", "Remove your second factor", {204: ""},
              (429, *CHANGING), SESSION, body=api_schemas.LinkRequest),
    Operation(ME + "/second-factor/recovery-codes", "post", "Create new recovery codes",
              {200: api_schemas.RecoveryCodesAnswer}, (429, *CHANGING), SESSION,
              body=api_schemas.LinkRequest),
    Operation(ME + "/passkeys", "get", "Your passkeys", {200: passkey_schemas.PasskeysShown},
              READING, SESSION),
    Operation(ME + "/passkeys/options", "post", "Start adding a passkey",
              {200: passkey_schemas.PasskeyOptions}, (429, *CHANGING), SESSION,
              body=api_schemas.LinkRequest),
    Operation(ME + "/passkeys", "post", "Add a passkey", {201: passkey_schemas.PasskeyAdded},
              (409, 429, *CHANGING), SESSION, body=passkey_schemas.NewPasskey),
    Operation(ME + "/passkeys/{passkey_id}/remove", "post", "Remove a passkey", {204: ""},
              (404, 429, *CHANGING), SESSION, body=api_schemas.LinkRequest),
    Operation(ADMINS + "/{admin_id}/remove-second-factor", "post",
              "Remove a person's second factor", {200: api_schemas.AdminAnswer},
              (404, 429, *CHANGING), SESSION, body=api_schemas.LinkRequest),
    Operation(TOKENS, "get", "All API tokens", {200: token_schemas.TokensAnswer}, READING, SESSION),
    Operation(TOKENS, "post", "Create an API token", {201: token_schemas.NewTokenAnswer}, CHANGING,
              SESSION, body=token_schemas.NewToken),
    Operation(TOKENS + "/{token_id}/revoke", "post", "Revoke an API token",
              {200: token_schemas.TokenAnswer}, (404, *CHANGING), SESSION),
    Operation("/api/admin/links", "get", "All shared links",
              {200: shared_link_schemas.SharedLinksAnswer}, READING, SESSION),
    Operation("/api/admin/links", "post", "Create a shared link",
              {201: shared_link_schemas.NewSharedLinkAnswer}, CHANGING, SESSION,
              body=shared_link_schemas.NewSharedLink),
    Operation("/api/admin/links/{link_id}/revoke", "post", "Revoke a shared link",
              {200: shared_link_schemas.SharedLinkAnswer}, (404, *CHANGING), SESSION),
    Operation("/api/admin/activity-log", "get", "Who did what, as JSON or (format) as CSV",
              {200: (activity_log_schemas.ActivityLogAnswer, "text/csv")}, (400, *READING), ADMIN,
              query=activity_log_schemas.ActivityLogQuery),
    Operation(PATH, "get", "This description", {200: "application/json"}, READING, ADMIN),
    Operation("/healthz", "get", "Whether the process answers",
              {200: documented_only.HealthSchema}),
    Operation("/readyz", "get", "Whether it can count",
              {200: documented_only.HealthSchema, 503: documented_only.HealthSchema}),
    Operation("/metrics", "get", "Prometheus", {200: "text/plain"}, (401,)),
)  # fmt: skip


TOO_LONG: dict[str, Any] = {
    "description": "The request line is over 4,094 bytes; sent by the web server itself.",
    "content": {"text/html": {}},
}


def register_description(app: Flask) -> None:
    """Serve the description on ``app``."""
    blueprint = Blueprint("openapi", __name__)

    @blueprint.get(PATH)
    def openapi() -> ResponseReturnValue:
        """This API's description (OpenAPI)."""
        return Response(_encoded(), mimetype="application/json")

    app.register_blueprint(blueprint)


@cache
def _encoded() -> str:
    # Made when it is first asked for: at the start it would take a tenth of the time.
    return json.dumps(description())


def description() -> dict[str, Any]:
    """The whole document."""
    plugin = MarshmallowPlugin()
    spec = APISpec("dmstats", __version__, "3.1.0", plugins=[plugin])
    if plugin.converter is not None:
        plugin.converter.add_attribute_function(_refined)  # type: ignore[no-untyped-call]
    schemes = {
        "session": {"type": "apiKey", "in": "cookie", "name": "__Host-dmstats"},
        "token": {"type": "http", "scheme": "bearer"},
        "cronSecret": {"type": "http", "scheme": "bearer"},
    }
    for name, scheme in schemes.items():
        spec.components.security_scheme(name, scheme)
    for operation in OPERATIONS:
        spec.path(operation.path, operations={operation.method: _described(operation)})
    document: dict[str, Any] = spec.to_dict()
    return document


def _described(operation: Operation) -> dict[str, Any]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    text = {"type": "string", "minLength": 1}
    problem: type[Schema] = documented_only.Problem
    parameters: list[dict[str, Any]] = [
        {"in": "path", "name": name, "required": True, "schema": text} for name in names
    ]
    if operation.query is not None:
        parameters.append({"in": "query", "schema": operation.query})
    responses: dict[str, Any] = {
        str(status): _answer(answer) for status, answer in operation.answers.items()
    }
    responses["414"] = TOO_LONG
    for status in operation.problems:
        content = {"application/problem+json": {"schema": problem}}
        responses[str(status)] = {"description": PROBLEMS[status], "content": content}
    found: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
        "security": operation.security or [],
    }
    if operation.body is not None:
        media = operation.body if isinstance(operation.body, str) else "application/json"
        schema = {"type": "string"} if isinstance(operation.body, str) else operation.body
        found["requestBody"] = {"required": True, "content": {media: {"schema": schema}}}
    return found


def _answer(answer: Content | tuple[Content, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": "Success."}
    content: dict[str, Any] = {}
    for one in answer if isinstance(answer, tuple) else (answer,):
        if not isinstance(one, str):
            content["application/json"] = {"schema": one}
        elif one:
            content[one] = {}
    return found | ({"content": content} if content else {})


def _refined(self: Any, field: Any, **_: Any) -> dict[str, Any]:  # noqa: ARG001 - apispec's
    """What the plugin does not know: our own field, and that JSON's patterns end with ``$``."""
    refined: dict[str, Any] = {}
    if isinstance(field, api_schemas.Moment):
        kinds = ["string", "null"] if field.allow_none else "string"
        refined = {"type": kinds, "format": "date-time"}
    for check in field.validators:
        if isinstance(check, validate.Regexp):
            refined["pattern"] = "^" + str(check.regex.pattern).replace(r"\Z", "$")
    return refined
