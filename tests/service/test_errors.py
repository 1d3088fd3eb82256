from __future__ import annotations

import logging

import pytest
from flask import Flask, abort, redirect
from flask.typing import ResponseReturnValue

from dmstats.core.errors import NotFound, NotSignedIn, PoisonError, TooManyRequests, Unavailable
from dmstats.web.middleware.problems import register_errors


@pytest.fixture
def app() -> Flask:
    app = Flask("errors")
    register_errors(app)

    @app.get("/raise/<name>")
    def fail(name: str) -> str:
        raise {
            "missing": NotFound("There is no such account."),
            "late": TooManyRequests("Wait.", retry_after=6.01),
            "busy": Unavailable("Full."),
            "anonymous": NotSignedIn(),
            "poison": PoisonError("secret inside"),
            "crash": RuntimeError("secret inside"),
        }[name]

    @app.get("/abort/<int:code>")
    def stop(code: int) -> str:
        abort(code)

    @app.get("/away")
    def away() -> ResponseReturnValue:
        return redirect("/login")

    @app.get("/folder/")
    def folder() -> str:
        return ""

    return app


@pytest.mark.parametrize(
    ("path", "status", "title", "detail"),
    [
        ("/raise/missing", 404, "Not found", "There is no such account."),
        ("/raise/late", 429, "Too many requests", "Wait."),
        ("/raise/busy", 503, "Service unavailable", "Full."),
        ("/raise/anonymous", 401, "Not signed in", "Not signed in"),
        ("/nowhere", 404, "Not Found", None),
        ("/abort/418", 418, "I'm a teapot", None),
    ],
)
def test_it_works(app: Flask, path: str, status: int, title: str, detail: str | None) -> None:
    answer = app.test_client().get(path)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert answer.get_json()["type"] == "about:blank"
    assert (answer.get_json()["status"], answer.get_json()["title"]) == (status, title)
    assert answer.get_json()["detail"] == detail or detail is None


def test_the_headers_that_go_with_a_status(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/raise/late").headers["Retry-After"] == "7"
    assert client.get("/raise/busy").headers["Retry-After"] == "1"
    assert "Retry-After" not in client.get("/raise/missing").headers
    assert client.get("/raise/anonymous").headers["WWW-Authenticate"] == 'Bearer realm="dmstats"'
    assert "GET" in client.post("/away").headers["Allow"]


@pytest.mark.parametrize("name", ["crash", "poison"])
def test_internal_errors_are_logged_and_not_exposed(
    app: Flask, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="dmstats"):
        answer = app.test_client().get(f"/raise/{name}")
    assert answer.status_code == 500
    assert "secret inside" not in answer.text
    assert "secret inside" in caplog.text


def test_redirects_are_no_errors(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/away").headers["Location"] == "/login"
    assert client.get("/folder").status_code == 308
