"""An application of the sign-in and the admin API alone, on mongomock and a fake Redis."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import argon2
import fakeredis
import mongomock
from bson.codec_options import CodecOptions
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import DictLoader
from mongomock.filtering import filter_applies
from pymongo.errors import OperationFailure

from dmstats.core.clock import ManualClock
from dmstats.core.settings import Settings
from dmstats.db.admins.activity_log import ActivityLog
from dmstats.db.admins.admin_store import AdminStore
from dmstats.db.admins.identities import Identities
from dmstats.db.admins.passkeys import Passkeys
from dmstats.db.admins.passwords import Passwords
from dmstats.db.admins.roles import Role
from dmstats.db.admins.second_factor import SecondFactors
from dmstats.db.admins.session_store import SessionStore
from dmstats.db.admins.shared_links import SharedLinkStore
from dmstats.db.admins.token_store import TokenStore
from dmstats.db.alerting import AlertingStore
from dmstats.db.annotations import AnnotationStore
from dmstats.db.audit.repairs import RepairRecords
from dmstats.db.client import Mongo
from dmstats.db.dashboard.history import HistoryStore
from dmstats.db.incidents import IncidentStore
from dmstats.history.service import HistoryService
from dmstats.ops.annotations import Annotations
from dmstats.ops.channels import ChannelList
from dmstats.ops.mail import Mailer
from dmstats.ops.metrics import Metrics
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
    second_factor,
    sends,
    shared_links,
    stats,
    tokens,
)
from dmstats.web.auth import passkey_sign_in, password_links, sign_in, sso
from dmstats.web.auth.access import register_access
from dmstats.web.auth.authenticator import Authenticator
from dmstats.web.auth.oidc import OidcClient
from dmstats.web.auth.rate_limit import SignInRateLimit
from dmstats.web.auth.sessions import configure_sessions
from dmstats.web.auth.shared_access import SharedAccess
from dmstats.web.middleware.problems import register_errors
from dmstats.web.middleware.security_headers import register_headers
from dmstats.web.pages import shared
from tests.keyspace import KEYS

EMAIL = "ada@example.com"
PASSWORD = "correct horse battery"
TOKEN = "token-of-the-scripts"
CRON = "secret-of-the-cron"


def cheap_passwords() -> Passwords:
    return Passwords(argon2.PasswordHasher.from_parameters(argon2.profiles.CHEAPEST))


_MockCollection: Any = mongomock.Collection
_every_match = _MockCollection._iter_documents
_applies: Any = filter_applies
PLAIN = (str, bytes, datetime)


def _matches(self: Any, wanted: Any) -> Iterator[dict[str, Any]]:
    """The documents that match. mongomock tries everything that a filter may hold on each document,
    and for a unique index does so at each write; but most filters are an id, or some: plain values.
    """
    [(name, asked), *others] = wanted.items() if wanted else [("", None)]
    plain = [*asked["$in"]] if isinstance(asked, dict) and [*asked] == ["$in"] else [asked]
    if others or name[:1] == "$" or "." in name or any(type(each) not in PLAIN for each in plain):
        return cast(Iterator[dict[str, Any]], _every_match(self, wanted))
    values = set(plain)
    # The values of an OrderedDict are slow: it computes the hash of each key, here an ObjectId.
    self._store._remove_expired_documents()
    return (
        document
        for document in [*dict.values(self._store._documents)]
        if (
            value in values
            if type(value := document.get(name)) in PLAIN
            else _applies(wanted, document)
        )
    )


_MockCollection._iter_documents = _matches


class MockClient(mongomock.MongoClient):  # type: ignore[type-arg]
    """Decodes nothing, so it takes no options for what cannot be decoded, and explains nothing."""

    def get_database(  # type: ignore[override]
        self, name: Any, codec_options: Any = None, **options: Any
    ) -> Any:
        found = super().get_database(name, codec_options=CodecOptions(tz_aware=True), **options)
        setattr(found, "command", self._refuse)  # noqa: B010 - mypy minds a method
        return found

    @staticmethod
    def _refuse(*_: Any, **__: Any) -> Any:
        raise OperationFailure("not here")


def mock_mongo() -> Mongo:
    mongo = Mongo(MockClient(), "dmstats", "primary")
    mongo.db["dmstats_admins"].create_index("email", unique=True)
    mongo.db["instagram_accounts"].create_index("instagramId", unique=True)
    return mongo


@dataclass
class FakeStats:
    """Reader, publisher and refresher in one, to say what they would."""

    version: str = "1-7"
    wait: float = 0.0
    rate_limited: bool = False
    refreshes: list[bool] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def current(self, seen: tuple[int, int] = (0, 0)) -> Any:
        body = json.dumps({"version": self.version} | self.figures).encode()
        return SimpleNamespace(version=self.version, order=(1, 7), body=body, etag=self.version)

    def retry_after(self) -> float:
        return self.wait

    def refresh(self, *, scheduled: bool = False, publish: bool = True) -> Any:
        self.refreshes.append(publish)
        return SimpleNamespace(
            version="1-8",
            published=not self.rate_limited,
            rate_limited=self.rate_limited,
            retry_after=7.2,
            compute_ms=4.1,
            db_queries=5,
        )


metrics = cache(Metrics)
"""Those of all sites, because no test reads them and declaring them takes as long as a request."""


@cache
def application() -> Flask:
    """The routes and templates without their services: each site has a copy, because compiling a
    hundred rules takes longer than most tests.
    """
    app = Flask("admin_site")
    app.jinja_loader = DictLoader(
        {
            "missing.html": "{{ title }}|{{ words }}",
            "shared.html": "{{ label }}|{{ parts | sort | join(' ') }}|{{ wall }}|{{ first }}"
            "|{{ stats_url }}|{{ stream_url }}",
            "deletion.html": "{{ code }}|{{ waiting }}|{{ was_account }}",
            "code.html": "code|{{ error or '' }}|{{ next }}",
            "login.html": "{{ error or '' }}|{{ email }}|{{ next }}"
            "{% if single_sign_on %}|with {{ single_sign_on }}{% endif %}"
            "{% if proxied %}|as {{ proxied }}{% endif %}",
            "password.html": "{{ error or '' }}|{{ email }}|{{ link }}|{{ done }}",
        }
    )
    register_errors(app)
    register_access(app)
    for views in (
        stats,
        account_edits,
        account_list,
        history,
        notes,
        incidents,
        sends,
        alerting,
        deliveries,
        sign_in,
        sso,
        passkey_sign_in,
        passkeys,
        password_links,
        admins,
        me,
        activity_log,
        tokens,
        second_factor,
        meta_requests,
        shared_links,
        shared,
    ):
        app.register_blueprint(views.blueprint)

    @app.get("/")
    def home() -> str:
        return "home"

    @app.get("/me", endpoint="pages.me")
    def me_page() -> str:
        return "me"

    @app.get("/accounts")
    def page() -> str:
        return "accounts"

    _ = app.jinja_env  # the copies share the compiled templates
    return app


class AdminSite:
    def __init__(self, clock: ManualClock, mongo: Mongo | None = None, **settings: Any) -> None:
        self.mongo = mongo or mock_mongo()
        self.redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        usual: dict[str, Any] = {
            "admin_api_token": TOKEN,
            "cron_secret": CRON,
            "secret_key": "k" * 32,
            "web_concurrency": 2,  # otherwise each site looks for how many CPUs it may use
        }
        self.settings = Settings(**usual | settings)
        self.clock = clock
        self.stats = FakeStats()
        self.reads = HistoryStore(self.mongo)
        self.histories = self.other_process()
        self.admins = AdminStore(self.mongo, cheap_passwords(), clock)
        self.sessions = SessionStore(self.mongo, clock, hours=self.settings.session_hours)
        self.log = ActivityLog(self.mongo, clock, days=self.settings.activity_log_days)
        self.tokens = TokenStore(self.mongo, clock)
        self.second_factors = SecondFactors(self.mongo, clock, self.settings.secret_key or "")
        self.incidents = IncidentStore(self.mongo)
        self.annotations = Annotations(
            AnnotationStore(self.mongo, clock), self.incidents, RepairRecords(self.mongo)
        )
        self.alerting = AlertingStore(self.mongo)
        self.channels = ChannelList(
            [], self.alerting, self.settings.secret_key or "", ZoneInfo(self.settings.time_zone)
        )
        self.shared_links = SharedLinkStore(self.mongo, clock)
        self.passkeys = Passkeys(self.mongo, clock)
        self.mailer: Mailer | None = None
        self.app = self._app()

    def _app(self) -> Flask:
        app = copy.copy(application())
        app.config = copy.copy(app.config)
        app.secret_key = self.settings.secret_key
        configure_sessions(app)
        register_headers(app)
        app.extensions = {}
        app.extensions["dmstats"] = SimpleNamespace(
            settings=self.settings,
            clock=self.clock,
            mongo=self.mongo,
            admins=self.admins,
            activity_log=self.log,
            tokens=self.tokens,
            shared_links=self.shared_links,
            shared_access=SharedAccess(self.shared_links, self.clock),
            second_factors=self.second_factors,
            passkeys=self.passkeys,
            identities=Identities(self.mongo),
            single_sign_on=OidcClient(self.settings, self.clock)
            if self.settings.oidc_issuer
            else None,
            authenticator=Authenticator(
                self.settings,
                self.admins,
                self.sessions,
                self.tokens,
                self.shared_links,
                self.second_factors,
                SignInRateLimit(self.redis, KEYS),
                self.clock,
            ),
            mailer=self.mailer,
            reader=self.stats,
            histories=self.histories,
            incidents=self.incidents,
            annotations=self.annotations,
            alerting=self.alerting,
            channels=self.channels,
            publisher=self.stats,
            refresher=self.stats,
        )
        return app

    def other_process(self) -> HistoryService:
        """One more that answers histories, with the same databases."""
        interval = self.settings.refresh_interval
        return HistoryService(self.reads, self.redis, self.clock, metrics(), interval=interval)

    def client(self) -> FlaskClient:
        return self.app.test_client()

    def signed_in(self, email: str = EMAIL, role: Role = Role.ADMIN) -> FlaskClient:
        """A browser with a session of a (perhaps new) person."""
        if all(admin.email != email for admin in self.admins.list()):
            self.admins.create(email, PASSWORD, role)
        client = self.client()
        answer = client.post("/login", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
