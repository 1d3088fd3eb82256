"""The API against its own description: no 500, no answer that the description does not know."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

from dmstats.app import create_app
from dmstats.core.settings import Settings
from dmstats.web.schema.openapi import PATH, description
from tests.launched import Started
from tests.live.conftest import TOKEN
from tests.visitor import Visitor

pytestmark = [pytest.mark.live, pytest.mark.slow(120)]

ENDLESS = "/api/admin/stats/stream"
SIGN_IN = {"/login", "/logout"}
EXAMPLES = 12
BUSY_SECONDS = 30.0
"""How long a request is repeated that a busy machine answers with 503."""
OPERATIONS = [
    (method, path)
    for path, methods in description()["paths"].items()
    for method in methods
    if path != ENDLESS
]


@pytest.fixture(scope="module")
def visitor(service: Started) -> Visitor:
    return Visitor(service)


@pytest.fixture
def cookie(service: Started, visitor: Visitor) -> str:
    """A session that holds: one of the operations ends it."""
    if visitor.ask("GET", "/api/admin/me").status != 200:
        password = re.search(r"with the password (\S+)", service.output)
        assert password
        assert visitor.sign_in("admin@localhost", password[1]) == 200
    return visitor.cookie


@pytest.fixture(scope="module")
def schema() -> Any:
    # Imported here, because that takes a second, in each process that collects the tests.
    import schemathesis

    return schemathesis.openapi.from_dict(description())


@pytest.fixture(scope="module")
def http() -> Iterator[Any]:
    """A connection that lasts, since a new one for each request takes longer than most requests;
    without the cookies of earlier answers, and without looking for a proxy before each request."""
    from schemathesis.transport.requests import ManagedCookiesSession

    with ManagedCookiesSession() as session:
        session.headers.clear()
        session.trust_env = False
        yield session


@pytest.mark.parametrize("valid", [True, False], ids=["valid", "invalid"])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_it_works(
    schema: Any, method: str, path: str, valid: bool, service: Started, cookie: str, http: Any
) -> None:
    """What the description allows, and what it does not: both are answered as it says."""
    from schemathesis import Case, GenerationMode, checks

    left_out = [
        # It takes the session away and expects 401, but sends the header that this test adds.
        checks.ignored_auth,
        # A schema cannot say all: which characters print, which passwords are too common.
        checks.positive_data_acceptance,
        checks.negative_data_rejection,
    ]
    operation = schema[path][method]
    mode = GenerationMode.POSITIVE if valid else GenerationMode.NEGATIVE
    cron = Path(service.environ["DMSTATS_DATA_DIR"]) / "secrets" / "CRON_SECRET"
    headers = {"Cookie": cookie}
    if "/cron/" in operation.path:
        headers = {"Authorization": f"Bearer {cron.read_text().strip()}"}
    base = f"http://127.0.0.1:{service.environ['PORT']}"

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES, suppress_health_check=list(HealthCheck)
    )  # fmt: skip
    def ask(case: Case[Any]) -> None:
        deadline = time.monotonic() + BUSY_SECONDS
        answer = case.call(base_url=base, headers=headers, session=http)
        while answer.status_code == 503 and time.monotonic() < deadline:
            answer = case.call(base_url=base, headers=headers, session=http)
        case.validate_response(answer, headers=headers, excluded_checks=left_out)

    try:
        ask()
    except Unsatisfiable:
        assert not valid  # nothing can be wrong with it


def test_it_is_served(service: Started) -> None:
    url = f"http://127.0.0.1:{service.environ['PORT']}{PATH}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer) == description()


def test_every_api_route_is_described() -> None:
    secret = "secret-of-the-test"
    app: Flask = create_app(
        Settings(
            mongodb_uri="mongodb://127.0.0.1:1/",
            redis_url="redis://127.0.0.1:1/0",
            meta_app_secrets=(secret,),
            meta_verify_token=secret,
            cron_secret=secret,
            secret_key=secret,
        )
    )
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/")
    }
    paths = description()["paths"]
    assert {(path, method) for path in paths for method in paths[path]} >= routes
