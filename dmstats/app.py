"""The application factory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from dmstats import cli
from dmstats.core.constants import CHANNEL
from dmstats.core.errors import ConfigError
from dmstats.core.settings import Settings
from dmstats.db.counting.ledger import max_age_ms
from dmstats.embedded.attach import attach, require
from dmstats.ingest.webhook import Webhook
from dmstats.ops import logs
from dmstats.services import Services
from dmstats.web.api import (
    account_edits,
    account_list,
    activity_log,
    admins,
    alerting,
    deliveries,
    history,
    incidents,
    me,
    meta_requests,
    notes,
    passkeys,
    probes,
    second_factor,
    sends,
    shared_links,
    stats,
    tokens,
)
from dmstats.web.api.stream import StatsEvents
from dmstats.web.auth import passkey_sign_in, password_links, sign_in, sso
from dmstats.web.auth.access import register_access
from dmstats.web.auth.sessions import configure_sessions
from dmstats.web.middleware.database_deadline import DatabaseDeadline
from dmstats.web.middleware.delivery_priority import DeliveryPriority
from dmstats.web.middleware.hijack import ConnectionHijack
from dmstats.web.middleware.prefix import plain_prefix
from dmstats.web.middleware.problems import register_errors
from dmstats.web.middleware.request_log import RequestLog, request_fields
from dmstats.web.middleware.security_headers import register_headers
from dmstats.web.middleware.timeouts import RequestTimeouts
from dmstats.web.pages import shared
from dmstats.web.pages.views import register_pages
from dmstats.web.schema.openapi import register_description
from dmstats.wiring import wire

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

REQUIRED = (
    "mongodb_uri",
    "redis_url",
    "meta_app_secrets",
    "meta_verify_token",
    "cron_secret",
    "secret_key",
)
MAX_FORM = 64 * 1024
"""The maximum body size of every route except the webhook, in bytes."""
BLUEPRINTS = (
    stats.blueprint,
    account_edits.blueprint,
    account_list.blueprint,
    history.blueprint,
    notes.blueprint,
    deliveries.blueprint,
    incidents.blueprint,
    sends.blueprint,
    alerting.blueprint,
    admins.blueprint,
    me.blueprint,
    second_factor.blueprint,
    passkeys.blueprint,
    activity_log.blueprint,
    tokens.blueprint,
    shared_links.blueprint,
    shared.blueprint,
    sign_in.blueprint,
    sso.blueprint,
    passkey_sign_in.blueprint,
    password_links.blueprint,
    meta_requests.blueprint,
    probes.blueprint,
)


def settings_from(environ: Mapping[str, str]) -> Settings:
    """The settings in ``environ``, completed from the service that runs on its data folder.

    Raises :class:`~dmstats.core.errors.ConfigError`.
    """
    settings = Settings.from_env(attach(environ))
    require(settings, environ, *REQUIRED)
    return settings


def create_app(settings: Settings | None = None) -> Flask:
    """Build the application; it does no IO before the first request or ``start()``.

    Without ``settings``, they are read from the environment and completed from the data folder of
    a running ``dmstats run``. If they are invalid inside the ``flask`` command, the application has
    only the commands. Raises :class:`~dmstats.core.errors.ConfigError`.
    """
    if settings is None:
        logs.configure(request_fields)
        try:
            settings = settings_from(os.environ)
        except ConfigError as error:
            return cast("Flask", cli.without_settings(error))
    settings.require(*REQUIRED)
    app = Flask("dmstats", static_folder=None)
    app.config.update(SECRET_KEY=settings.secret_key, MAX_CONTENT_LENGTH=MAX_FORM)
    configure_sessions(app)
    register_errors(app)
    register_headers(app)
    register_access(app)
    register_pages(app)
    register_description(app)
    events = StatsEvents()
    for blueprint in (*BLUEPRINTS, events):
        app.register_blueprint(blueprint)

    def send(snapshot: dict[str, Any], version: str) -> None:
        # Also called by the scheduler, outside any request.
        with app.app_context():
            events.publish(snapshot, type="stats", id=version, channel=CHANNEL)

    services = app.extensions["dmstats"] = wire(settings, send)
    _wrap_with_middleware(app, services)
    cli.register(app)
    return app


def _wrap_with_middleware(app: Flask, services: Services) -> None:
    """Add the WSGI middleware, from the inside out: trusted proxy headers, database deadline,
    priority of deliveries, webhook, time-outs, request log, and connection hijacking for
    streams."""
    settings = services.settings
    application: WSGIApplication = app.wsgi_app
    if proxies := settings.trusted_proxies:
        application = ProxyFix(
            application,
            x_for=proxies,
            x_proto=proxies,
            x_host=proxies,
            x_port=proxies,
            x_prefix=proxies,
        )
        application = plain_prefix(application)
    application = DatabaseDeadline(application)
    # Outside of the deadline: waiting for the slot is not waiting for MongoDB.
    application = DeliveryPriority(application, lambda: services.committer.busy, services.clock)
    webhook = Webhook(
        services.committer,
        services.clock,
        services.delivery_log,
        app_secrets=settings.meta_app_secrets,
        verify_token=settings.meta_verify_token or "",
        max_age_ms=max_age_ms(settings.ledger_retention_hours),
        details=services.delivery_details,
    )
    bounded = RequestTimeouts(webhook.wrap(application), services.clock)
    services.close_idle = bounded.close_idle
    logged = RequestLog(
        bounded, services.clock, services.metrics, trusted_proxies=settings.trusted_proxies
    )
    app.wsgi_app = ConnectionHijack(logged)  # type: ignore[method-assign]
