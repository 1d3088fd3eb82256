"""A whole run's logs: JSON lines, without secrets, without what people wrote or who they are."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.launched import Started
from tests.live.conftest import TOKEN
from tests.servers import wait_until
from tests.visitor import PERSON, TEXT, WEBHOOK, Visitor, delivery

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
WRONG_PASSWORD = "wrong-password-of-the-test"
CHALLENGE = "challenge-of-the-test"


class Run(NamedTuple):
    """A visit: what must not show anywhere, what was answered, and the service."""

    hidden: list[str]
    bodies: list[str]
    service: Started


def everything(service: Started) -> Run:
    """Visit every kind of route, rightly and wrongly."""
    folder = Path(service.environ["DMSTATS_DATA_DIR"]) / "secrets"
    secrets = {file.name: file.read_text().strip() for file in folder.iterdir()}
    password = re.search(r"with the password (\S+)", service.output)
    assert password
    visitor = Visitor(service)
    app_secret = secrets["META_APP_SECRET"]
    assert visitor.deliver(delivery(), app_secret) == 200
    assert visitor.deliver(delivery(mid={"text": TEXT}), app_secret) == 200  # unreadable
    assert visitor.deliver(delivery(account=f"{TEXT}\0\n"), app_secret) == 200
    assert visitor.deliver(TEXT.encode(), app_secret) == 400
    assert visitor.deliver(delivery(), "not-the-secret") == 401
    for token in (secrets["META_VERIFY_TOKEN"], "wrong-" + secrets["META_VERIFY_TOKEN"]):
        query = f"hub.mode=subscribe&hub.verify_token={token}&hub.challenge={CHALLENGE}"
        visitor.ask("GET", f"{WEBHOOK}?{query}")
    for bearer in (secrets["CRON_SECRET"], "wrong-" + secrets["CRON_SECRET"], TOKEN):
        for path in ("/api/cron/refresh-admin-stats", "/api/admin/stats", "/metrics"):
            visitor.ask("GET", path, Authorization=f"Bearer {bearer}")
    assert visitor.sign_in("admin@localhost", WRONG_PASSWORD) == 401
    assert visitor.sign_in("admin@localhost", password[1]) == 200
    session = visitor.cookie.partition("=")[2]
    assert session
    for path in ("/", "/api/admin/admins", f"/api/admin/accounts?query={TEXT.replace(' ', '+')}"):
        assert visitor.ask("GET", path).status == 200
    assert visitor.ask("GET", "/api/admin/accounts?sort=$where").status == 400
    simulated = subprocess.run(
        [str(Path(sys.executable).with_name("flask")), "simulate", "--seconds", "2"],
        cwd=ROOT, env=service.environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "sent to the service" in simulated.stdout, simulated.stderr
    signature = "sha256="
    hidden = [
        *secrets.values(), TOKEN, password[1], WRONG_PASSWORD, session, TEXT, PERSON, signature,
        CHALLENGE, "hub.verify_token",
    ]  # fmt: skip
    return Run(hidden, visitor.bodies, service)


@pytest.fixture(scope="module")
def run(service: Started) -> Run:
    done = everything(service)
    last = Visitor(service).ask("GET", "/nowhere", X_Request_ID="the-last-one").headers
    assert last["X-Request-ID"] == "the-last-one"
    wait_until(lambda: "the-last-one" in service.output)
    return done


def json_lines(service: Started) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.output.splitlines() if line.startswith("{")]


def test_it_works(run: Run) -> None:
    requests = [line for line in json_lines(run.service) if line["event"] == "request"]
    seen = {(line["method"], line["path"], line["status"]) for line in requests}
    assert {
        ("POST", WEBHOOK, 400),
        ("POST", WEBHOOK, 401),
        ("GET", WEBHOOK, 403),
        ("POST", "/login", 401),
        ("POST", "/login", 200),
        ("GET", "/api/admin/accounts", 200),
        ("GET", "/nowhere", 404),
    } <= seen
    assert ("POST", WEBHOOK, 200) not in seen
    for line in requests:
        assert set(line) >= {"time", "level", "requestId", "ms", "from"}


def test_no_secret_no_text_and_no_person_is_logged(run: Run) -> None:
    output = "\n".join(
        line for line in run.service.output.splitlines() if "created the first admin" not in line
    )
    logs = [file.read_text() for file in run.service.folder.glob("var/log/*.log")]
    assert logs
    for value in run.hidden:
        assert value not in output, value
        assert not [log for log in logs if value in log], value


def test_every_line_is_json_or_from_the_start(run: Run) -> None:
    other = [
        line for line in run.service.output.splitlines() if not line.startswith(("{", "dmstats: "))
    ]
    # gunicorn's own announcements
    assert [
        line for line in other if not re.match(r"\[[\d-]+ [\d:]+ [+-]\d+\] \[\d+\]", line)
    ] == []


def test_nothing_crashed_on_the_way(run: Run) -> None:
    events = {line["event"] for line in json_lines(run.service)}
    assert {"refresh", "sign_in_failed", "signed_in"} <= events
    assert not {"request_crashed", "webhook_defect", "batch_defect", "job_failed"} & events


def test_lines_inside_a_request_name_it(run: Run) -> None:
    lines = json_lines(run.service)
    requests = {line["requestId"] for line in lines if line["event"] == "request"}
    signed_in = {line["requestId"] for line in lines if line["event"] == "signed_in"}
    assert signed_in
    assert signed_in <= requests


def test_metrics_tell_no_secret_either(run: Run) -> None:
    connection = http.client.HTTPConnection(
        "127.0.0.1", int(run.service.environ["PORT"]), timeout=20
    )
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    assert 'dmstats_events_counted_total{kind="sent"}' in text
    assert 'dmstats_http_request_seconds_count{route="/api/admin/accounts",status="200"}' in text
    assert not [value for value in run.hidden if value in text]


def test_no_answer_contains_input_or_secrets(run: Run) -> None:
    """But for the challenge, which Meta wants back."""
    assert len(run.bodies) > 15
    for value in set(run.hidden) - {CHALLENGE}:
        assert not [body for body in run.bodies if value in body], value
