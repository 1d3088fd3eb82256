"""An application of the sign-in and the admin API alone, on mongomock and a fake Redis."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import argon2
import fakeredis
import mongomock
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import DictLoader

from dmstats.core.clock import ManualClock
from dmstats.core.settings import Settings
from dmstats.db.admins.admin_store import AdminStore
from dmstats.db.admins.passwords import Passwords
from dmstats.db.admins.session_store import SessionStore
from dmstats.db.client import Mongo
from dmstats.ops.mail import Mailer
from dmstats.web.api import admins, stats
from dmstats.web.auth import password_links, sign_in
from dmstats.web.auth.authenticator import Authenticator, require_admin
from dmstats.web.auth.rate_limit import SignInRateLimit
from dmstats.web.auth.sessions import configure_sessions
from dmstats.web.middleware.problems import register_errors
from dmstats.web.middleware.security_headers import register_headers
from tests.keyspace import KEYS

EMAIL = "ada@example.com"
PASSWORD = "correct horse battery"
TOKEN = "token-of-the-scripts"
CRON = "secret-of-the-cron"


def cheap_passwords() -> Passwords:
    return Passwords(argon2.PasswordHasher.from_parameters(argon2.profiles.CHEAPEST))


def mock_mongo() -> Mongo:
    mongo = Mongo(mongomock.MongoClient(), "dmstats", "primary")
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

    def current(self, seen: tuple[int, int]) -> Any:
        body = json.dumps({"version": self.version}).encode()
        return SimpleNamespace(version=self.version, body=body, etag=self.version)

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


class AdminSite:
    def __init__(self, clock: ManualClock, **settings: Any) -> None:
        self.mongo = mock_mongo()
        self.redis = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        self.settings = Settings(
            **{"admin_api_token": TOKEN, "cron_secret": CRON, "secret_key": "k" * 32} | settings
        )
        self.clock = clock
        self.stats = FakeStats()
        self.admins = AdminStore(self.mongo, cheap_passwords(), clock)
        self.sessions = SessionStore(self.mongo, clock, hours=self.settings.session_hours)
        self.mailer: Mailer | None = None
        self.app = self._app()

    def _app(self) -> Flask:
        app = Flask("admin_site")
        app.secret_key = self.settings.secret_key
        app.jinja_loader = DictLoader(
            {
                "login.html": "{{ error or '' }}|{{ email }}|{{ next }}",
                "password.html": "{{ error or '' }}|{{ email }}|{{ link }}|{{ done }}",
            }
        )
        configure_sessions(app)
        register_errors(app)
        register_headers(app)
        for room in (stats, sign_in, password_links, admins):
            app.register_blueprint(room.blueprint)

        @app.get("/")
        @require_admin
        def home() -> str:
            return "home"

        @app.get("/accounts")
        @require_admin
        def page() -> str:
            return "accounts"

        app.extensions["dmstats"] = SimpleNamespace(
            settings=self.settings,
            clock=self.clock,
            mongo=self.mongo,
            admins=self.admins,
            authenticator=Authenticator(
                self.settings,
                self.admins,
                self.sessions,
                SignInRateLimit(self.redis, KEYS),
                self.clock,
            ),
            mailer=self.mailer,
            reader=self.stats,
            publisher=self.stats,
            refresher=self.stats,
        )
        return app

    def client(self) -> FlaskClient:
        return self.app.test_client()

    def signed_in(self, email: str = EMAIL) -> FlaskClient:
        """A browser with a session of a (perhaps new) admin."""
        if all(admin.email != email for admin in self.admins.list()):
            self.admins.create(email, PASSWORD)
        client = self.client()
        answer = client.post("/login", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
