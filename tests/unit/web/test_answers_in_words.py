"""What a browser and a script are told: of a wrong path, of HTTPS, of a database that is away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from dmstats.app import create_app
from dmstats.core.errors import DATABASE_AWAY
from dmstats.core.plain_http import NEEDS_HTTPS
from dmstats.core.settings import Settings
from dmstats.web.middleware import database_deadline

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
SECRET = "secret-of-the-test"


@pytest.fixture(scope="module")
def client() -> Iterator[FlaskClient]:
    app = create_app(
        Settings(
            mongodb_uri="mongodb://127.0.0.1:1/", redis_url="redis://127.0.0.1:1/0",
            meta_app_secrets=(SECRET,), meta_verify_token=SECRET, cron_secret=SECRET,
            secret_key=SECRET, admin_api_token=SECRET,
        )
    )  # fmt: skip
    yield app.test_client()
    app.extensions["dmstats"].disconnect()


def test_it_works(client: FlaskClient) -> None:
    answer = client.get("/nowhere", headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "Page not found" in answer.text
    assert 'href="/"' in answer.text
    assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/nowhere", {}),
        ("/nowhere", {"Accept": "*/*"}),
        ("/nowhere", {"Accept": "application/json"}),
        ("/api/nowhere", BROWSER),
    ],
)
def test_scripts_get_a_problem(client: FlaskClient, path: str, headers: dict[str, str]) -> None:
    answer = client.get(path, headers=headers)
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


def test_the_real_form_says_that_it_needs_https(client: FlaskClient) -> None:
    lan = {"Host": "192.168.1.5:8000"}
    assert NEEDS_HTTPS in client.get("/login", headers=lan).text
    assert NEEDS_HTTPS not in client.get("/login", headers={"Host": "localhost:8000"}).text
    answer = client.post("/login", headers=lan, data={"email": "a@b.c", "password": "x" * 12})
    assert answer.status_code == 403
    assert NEEDS_HTTPS in answer.text


@pytest.mark.parametrize("path", ["/api/admin/accounts", "/api/admin/stats", "/readyz"])
def test_a_database_that_is_away_is_told_without_names(
    client: FlaskClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_deadline, "REQUEST_SECONDS", 0.5)
    answer = client.get(path, headers={"Authorization": f"Bearer {SECRET}"})
    assert answer.status_code == 503
    detail = answer.get_json()["detail"]
    assert detail == DATABASE_AWAY or "MongoDB cannot be read" in detail
