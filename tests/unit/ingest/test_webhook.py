"""The webhook's own answers: handshake, signature, limits, errors."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from dmstats.commit.batch import CommitOutcome
from dmstats.core.clock import ManualClock
from dmstats.core.constants import WEBHOOK_PATH
from dmstats.core.errors import Unavailable
from dmstats.core.records import LedgerRow
from dmstats.ingest.webhook import MAX_BODY, DeliveryDetails, Webhook, is_webhook

PAYLOAD = (Path(__file__).parents[2] / "payloads" / "01_message_text_inbound.json").read_bytes()
SECRETS = ("first-secret", "second-secret")


class FakeCommitter:
    """Accepts everything, or raises ``failure``."""

    def __init__(self) -> None:
        self.rows: list[LedgerRow] = []
        self.failure: Exception | None = None

    def submit(self, rows: Sequence[LedgerRow], *, rejected: int = 0) -> CommitOutcome:
        if self.failure:
            raise self.failure
        self.rows += rows
        return CommitOutcome(received=len(rows), rejected=rejected)


class FakeMetrics:
    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.ignored = 0
        self.objects: Counter[str] = Counter()

    def delivery(self, status: int, seconds: float) -> None:
        self.statuses.append(status)

    def events_ignored(self, events: int) -> None:
        self.ignored += events

    def object_ignored(self, name: str, events: int) -> None:
        self.objects[name] += events


class Harness:
    def __init__(
        self, details: DeliveryDetails | None = None, clock: ManualClock | None = None
    ) -> None:
        self.committer, self.metrics = FakeCommitter(), FakeMetrics()
        self.webhook = Webhook(
            self.committer,  # type: ignore[arg-type]
            clock or ManualClock(1_785_000_100_000),
            self.metrics,
            app_secrets=SECRETS,
            verify_token="the-verify-token",
            max_age_ms=10**9,
            details=details,
        )
        self.client = Client(self.webhook)

    def post(self, body: bytes, *, secret: str = SECRETS[0], **headers: str) -> TestResponse:
        told = {"X-Hub-Signature-256": sign(body, secret)} | headers
        return self.client.post(WEBHOOK_PATH, data=body, headers=told)

    def handshake(self, **query: str) -> TestResponse:
        asked = {"mode": "subscribe", "verify_token": "the-verify-token", "challenge": "1158"}
        fields = {f"hub.{name}": value for name, value in (asked | query).items()}
        return self.client.get(WEBHOOK_PATH, query_string=fields)


def sign(body: bytes, secret: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_it_works(harness: Harness) -> None:
    answer = harness.post(PAYLOAD)
    assert answer.status_code == 200
    assert answer.json == {
        "sent": 0, "received": 1, "other": 0, "duplicates": 0, "ignored": 0, "rejected": 0
    }  # fmt: skip
    assert [row.kind for row in harness.committer.rows] == ["received"]


def test_the_handshake_echoes_the_challenge(harness: Harness) -> None:
    answer = harness.handshake()
    assert (answer.status_code, answer.data) == (200, b"1158")
    assert answer.mimetype == "text/plain"


@pytest.mark.parametrize(
    "wrong", [{"verify_token": "x"}, {"verify_token": "é"}, {"mode": "x"}, {"challenge": ""}]
)
def test_any_other_handshake_is_forbidden(harness: Harness, wrong: dict[str, str]) -> None:
    answer = harness.handshake(**wrong)
    assert (answer.status_code, answer.mimetype) == (403, "application/problem+json")


@pytest.mark.parametrize("secret", SECRETS)
def test_any_of_the_secrets_may_sign(harness: Harness, secret: str) -> None:
    assert harness.post(PAYLOAD, secret=secret).status_code == 200


@pytest.mark.parametrize(
    "signature",
    ["", "sha256=", "sha256=" + "0" * 64, "sha1=" + "0" * 40, "é", sign(PAYLOAD, "third-secret"),
     sign(PAYLOAD, SECRETS[0]).upper(), sign(PAYLOAD + b" ", SECRETS[0])],
)  # fmt: skip
def test_nothing_unsigned_is_counted(harness: Harness, signature: str) -> None:
    answer = harness.post(PAYLOAD, **{"X-Hub-Signature-256": signature})
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert harness.committer.rows == []


def test_the_signature_is_over_the_raw_bytes(harness: Harness) -> None:
    """Meta escapes what is not ASCII; parsed and written again the body has other bytes."""
    again = json.dumps(json.loads(PAYLOAD), ensure_ascii=False).encode()
    assert (
        harness.post(PAYLOAD, **{"X-Hub-Signature-256": sign(again, SECRETS[0])}).status_code == 401
    )


@pytest.mark.parametrize("body", [b"", b"{", b"7", b'{"object": 5, "entry": []}'])
def test_what_is_not_ours_is_a_bad_request(harness: Harness, body: bytes) -> None:
    answer = harness.post(body)
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")


def test_a_body_may_be_4_mib_and_not_more(harness: Harness) -> None:
    start = b'{"object": "instagram", "entry": [], "x": "'
    body = start + b"x" * (MAX_BODY - len(start) - 2) + b'"}'
    assert harness.post(body).status_code == 200
    assert harness.post(body + b" ").status_code == 413


def test_a_body_without_a_length_is_bounded_too(harness: Harness) -> None:
    body = b"x" * (MAX_BODY + 1)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True
    }  # fmt: skip
    statuses: list[str] = []
    harness.webhook(environ, lambda status, headers, exc=None: statuses.append(status))  # type: ignore[arg-type]
    assert statuses[0].startswith("413")


@pytest.mark.parametrize("length", ["-1", "x", "1e3"])
def test_a_length_that_is_none_is_a_bad_request(harness: Harness, length: str) -> None:
    answer = harness.client.post(WEBHOOK_PATH, environ_overrides={"CONTENT_LENGTH": length})
    assert answer.status_code == 400


def test_what_cannot_be_counted_now_is_to_be_sent_again(harness: Harness) -> None:
    harness.committer.failure = Unavailable("busy", retry_after=3)
    answer = harness.post(PAYLOAD)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3")


def test_a_defect_is_a_500_without_details(harness: Harness) -> None:
    harness.committer.failure = ZeroDivisionError("the secret sauce")
    answer = harness.post(PAYLOAD)
    assert answer.status_code == 500
    assert b"sauce" not in answer.data


def test_other_methods_are_not_allowed(harness: Harness) -> None:
    answer = harness.client.delete(WEBHOOK_PATH)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")


def test_every_delivery_is_measured(harness: Harness) -> None:
    harness.post(PAYLOAD)
    harness.post(PAYLOAD, secret="another-secret")
    assert harness.metrics.statuses == [200, 401]


def test_other_paths_go_on_to_the_application(harness: Harness) -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("204 No Content", [])
        return []

    client = Client(harness.webhook.wrap(application))
    assert client.get("/elsewhere").status_code == 204
    assert client.get(WEBHOOK_PATH).status_code == 403


def test_without_secrets_it_does_not_start() -> None:
    with pytest.raises(ValueError, match="anyone"):
        Webhook(None, None, None, app_secrets=(), verify_token="x", max_age_ms=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        (WEBHOOK_PATH, True), (WEBHOOK_PATH + "/", True), ("/" + WEBHOOK_PATH, True),
        ("//api//webhooks/instagram//", True),
        ("/api/webhooks", False), (WEBHOOK_PATH + "/x", False), ("", False), ("/", False),
    ],
)  # fmt: skip
def test_slashes_that_are_too_many_do_no_harm(path: str, ours: bool) -> None:
    assert is_webhook(path) is ours


def test_another_object_is_answered_200_and_counted(harness: Harness) -> None:
    answer = harness.post(b'{"object": "page", "entry": [{}, {}]}')
    assert answer.status_code == 200
    assert answer.json is not None
    assert {name: count for name, count in answer.json.items() if count} == {"ignored": 2}
    assert (harness.metrics.ignored, harness.metrics.objects) == (2, {"page": 2})
