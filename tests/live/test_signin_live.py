"""Signing in to the whole application, with its own page, on real databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis import Redis

from dmstats.app import create_app
from dmstats.core.settings import Settings
from dmstats.db.admins.admin import Admin
from dmstats.db.admins.admin_store import AdminStore
from dmstats.db.admins.passwords import Passwords
from dmstats.db.client import Mongo
from migrations import apply
from tests.service.admin_site import EMAIL, PASSWORD

pytestmark = pytest.mark.live


@pytest.fixture
def settings(mongo: Mongo, mongodb_uri: str, redis_url: str, tmp_path: Path) -> Settings:
    return Settings(
        mongodb_uri=mongodb_uri,
        mongodb_db=mongo.db.name,
        redis_url=redis_url,
        data_dir=tmp_path,
        meta_app_secrets=("app-secret-of-the-test",),
        meta_verify_token="verify-token-of-the-test",
        cron_secret="cron-secret-of-the-test",
        secret_key="secret-key-of-the-test",
    )


@pytest.fixture
def admin(mongo: Mongo, settings: Settings) -> Admin:
    apply(mongo, settings)
    return AdminStore(mongo, Passwords()).create(EMAIL, PASSWORD)


def test_it_works(settings: Settings, admin: Admin, redis_client: Redis) -> None:
    app = create_app(settings)
    service = app.extensions["dmstats"]
    client = app.test_client()
    try:
        page = client.get(client.get("/").headers["Location"])
        assert "Sign in" in page.text
        wrong = client.post("/login", data={"email": EMAIL, "password": "wrong password"})
        assert wrong.status_code == 401
        assert "do not match" in wrong.text
        right = client.post("/login", data={"email": EMAIL, "password": PASSWORD})
        assert (right.status_code, right.headers["Location"]) == (303, "/")
        assert admin.email in client.get("/").text
        first = client.get("/api/admin/stats")
        assert first.status_code == 200
        unchanged = client.get("/api/admin/stats", headers={"If-None-Match": first.headers["ETag"]})
        assert unchanged.status_code == 304
        assert client.post("/api/admin/stats/refresh").status_code == 202
        soon = client.post("/api/admin/stats/refresh")
        assert (soon.status_code, 1 <= int(soon.headers["Retry-After"]) <= 10) == (429, True)
        cron = client.get(
            "/api/cron/refresh-admin-stats",
            headers={"Authorization": "Bearer cron-secret-of-the-test"},
        )
        assert (cron.get_json()["success"], cron.get_json()["rateLimited"]) == (True, True)
        assert client.get("/api/admin/accounts").get_json()["accounts"] == []
    finally:
        service.mongo.close()
        service.redis.close()
