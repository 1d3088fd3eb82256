"""Whatever is posted: never a 500, never stuck, nothing counted unsigned, nothing unstorable.

Takes seconds. For a long run (about ten minutes on two cores)::

    FUZZ_EXAMPLES=6000 python -m pytest tests/unit/ingest/test_webhook_fuzz.py
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dmstats.commit.batch import CommitOutcome
from dmstats.commit.increments import merge
from dmstats.core.clock import ManualClock
from dmstats.core.constants import WEBHOOK_PATH
from dmstats.core.records import LedgerRow
from dmstats.core.signature import sign
from dmstats.db.counting.ledger import _documents
from dmstats.ingest.webhook import Webhook

SECRET = "app-secret"
NOW_MS = 1_785_000_100_000
MAX_AGE_MS = 132 * 3_600_000
STUCK_SECONDS = 5.0
PAYLOADS = [
    path.read_bytes() for path in sorted((Path(__file__).parents[2] / "payloads").iterdir())
]

fuzz = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "200")),
    derandomize="FUZZ_EXAMPLES" not in os.environ,
)


class Harness:
    """A webhook whose committer takes everything and checks that it could be stored."""

    def __init__(self) -> None:
        self.rows: list[LedgerRow] = []
        self.webhook = Webhook(
            self,  # type: ignore[arg-type]
            ManualClock(NOW_MS),
            self,
            app_secrets=("another-secret", SECRET),
            verify_token="the-verify-token",
            max_age_ms=MAX_AGE_MS,
        )

    def submit(self, rows: Sequence[LedgerRow], *, rejected: int = 0) -> CommitOutcome:
        for documents in _documents(rows, rejected=False).values():
            for document in documents:
                assert len(bson.encode(document)) < 600
        assert all(bson.encode({"$inc": dict(merge(rows).totals)}) for _ in rows[:1])
        self.rows += rows
        return CommitOutcome(sent=len(rows), rejected=rejected)

    def delivery(self, status: int, seconds: float) -> None: ...

    def events_ignored(self, events: int) -> None: ...

    def object_ignored(self, name: str, events: int) -> None: ...

    def ask(self, method: str = "POST", body: bytes = b"", **environ: Any) -> tuple[int, bytes]:
        """The status and the body of the answer; fails if it is late or no answer at all."""
        told: list[str] = []
        started = time.thread_time()  # in which a busy machine has no part
        answer = self.webhook(
            {
                "REQUEST_METHOD": method,
                "PATH_INFO": WEBHOOK_PATH,
                "QUERY_STRING": "",
                "CONTENT_LENGTH": str(len(body)),
                "wsgi.input": io.BytesIO(body),
                **environ,
            },
            lambda status, headers, exc_info=None: told.append(status),  # type: ignore[arg-type]
        )
        assert time.thread_time() - started < STUCK_SECONDS
        return int(told[0].split()[0]), b"".join(answer)

    def post(self, body: bytes) -> dict[str, Any]:
        """POST ``body`` signed; the answer, empty for a 400. Anything else is a failure."""
        status, answer = self.ask(body=body, HTTP_X_HUB_SIGNATURE_256=sign(body, SECRET))
        assert status in (200, 400), (status, answer)
        if status == 400:
            assert not self.rows
            return {}
        told: dict[str, Any] = json.loads(answer)
        assert told["sent"] == len(self.rows)
        return told


WORDS = st.sampled_from(
    [
        "id", "time", "messaging", "standby", "changes", "sender", "recipient", "timestamp",
        "message", "mid", "is_echo", "is_self", "is_deleted", "message_edit", "num_edit",
        "reaction", "action", "read", "postback", "referral", "field", "value", "object",
        "entry", "instagram", "messages", "optin", "$inc", "a.b", "\ud83d", "\x00", "",
    ]
)  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    WORDS,
    st.text(st.characters(categories=None), max_size=80),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, -1, 1, 10**11, 10**14, 10**17, NOW_MS, NOW_MS + 3_600_001, 10**400]),
    st.floats(),
    st.sampled_from(["17841400000000001", "1785000100000", "1785000100", "9" * 25, "a" * 65]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)
ITEMS = st.fixed_dictionaries(
    {},
    optional={
        "sender": st.fixed_dictionaries({"id": SCALARS}) | VALUES,
        "recipient": VALUES,
        "timestamp": SCALARS,
        **{
            name: st.fixed_dictionaries(
                {}, optional={"mid": SCALARS, "is_echo": SCALARS, "action": SCALARS}
            )
            | VALUES
            for name in ("message", "message_edit", "reaction", "read", "postback", "referral")
        },
        "optin": VALUES,
    },
)
ENTRIES = st.fixed_dictionaries(
    {"id": st.just("17841400000000001") | SCALARS},
    optional={
        "time": SCALARS,
        "messaging": st.lists(ITEMS | VALUES, max_size=5) | VALUES,
        "standby": VALUES,
        "changes": st.lists(VALUES, max_size=3) | VALUES,
        "other": VALUES,
    },
)
BODIES = st.fixed_dictionaries(
    {"object": st.just("instagram") | SCALARS, "entry": st.lists(ENTRIES | VALUES, max_size=4)}
)


@fuzz
@given(st.binary(max_size=400))
@example(b"\xff\xfe{\x00}\x00")
@example(b"[" * 100_000)
@example(b'{"object": "instagram", "entry": [{"id": "1", "messaging": [{"x": ' + b"[" * 900)
@example(b'{"object":"instagram","entry":[{"id":' + b"9" * 5000 + b"}]}")
def test_any_bytes(body: bytes) -> None:
    Harness().post(body)


@fuzz
@given(BODIES, st.booleans())
def test_any_json_of_ours(body: Any, escaped: bool) -> None:
    text = json.dumps(body, ensure_ascii=escaped)
    Harness().post(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("where", ["messaging", "changes", "standby", "other"])
def test_any_depth(where: str) -> None:
    """The parser's limit is met at one depth, that of what comes after it at another."""
    for depth in (10, 200, *range(300, 1_000), 5_000, 200_000):
        inner = b"[" * depth + b"]" * depth
        if where != "other":
            inner = b'[{"field": "x", "optin": ' + inner + b"}]"
        body = b'{"object": "instagram", "entry": [{"id": "1", "' + where.encode() + b'": '
        Harness().post(body + inner + b"}]}")


@fuzz
@given(st.data())
def test_any_change_to_a_real_delivery(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(PAYLOADS)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        until = min(len(body), at + data.draw(st.integers(0, 30)))
        body[at:until] = data.draw(st.binary(max_size=20) | st.sampled_from(PAYLOADS))
    Harness().post(bytes(body))


@fuzz
@given(st.lists(ITEMS, min_size=1, max_size=6))
def test_events_are_the_same_in_any_company(items: list[Any]) -> None:
    """An odd item beside it changes nothing about an event: a retry may bring it alone."""
    together, apart = Harness(), Harness()
    together.post(_delivery(items))
    for item in items:
        alone = Harness()
        alone.post(_delivery([item]))
        apart.rows += alone.rows
    assert [row.row_id for row in together.rows] == [row.row_id for row in apart.rows]


@fuzz
@given(
    st.dictionaries(WORDS, VALUES, max_size=5),
    st.dictionaries(WORDS, VALUES, max_size=5),
    st.dictionaries(WORDS, VALUES, max_size=5),
)
def test_a_dm_with_an_account_and_a_mid_is_counted(entry: Any, item: Any, message: Any) -> None:
    """Whatever stands beside them, and of whatever type."""
    flags = ("is_echo", "is_self", "is_deleted")
    message = {name: value for name, value in message.items() if name not in flags}
    whole = {**item, "timestamp": NOW_MS, "message": {**message, "mid": "m"}}
    harness = Harness()
    harness.post(
        json.dumps(
            {
                "object": "instagram",
                "entry": [{**entry, "id": "17841400000000001", "messaging": [whole]}],
            }
        ).encode()
    )
    plain = Harness()
    plain.post(_delivery([{"timestamp": NOW_MS, "message": {"mid": "m"}}]))
    assert plain.rows[0] in harness.rows


def _delivery(items: list[Any]) -> bytes:
    entry = {"id": "17841400000000001", "time": NOW_MS, "messaging": items}
    return json.dumps({"object": "instagram", "entry": [entry]}).encode()


@fuzz
@given(st.sampled_from(PAYLOADS), st.text(st.characters(max_codepoint=255)))
@example(PAYLOADS[0], sign(PAYLOADS[0], "wrong"))
@example(PAYLOADS[0], sign(PAYLOADS[0] + b" ", SECRET))
@example(PAYLOADS[0], "sha256=")
def test_nothing_is_counted_without_a_signature(body: bytes, signature: str) -> None:
    harness = Harness()
    for told in (signature, "sha256=" + signature, "sha1=" + signature):
        assert harness.ask(body=body, HTTP_X_HUB_SIGNATURE_256=told)[0] == 401
    assert harness.ask(body=body)[0] == 401
    assert harness.rows == []


@fuzz
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS", "", "X"]),
    st.text(st.characters(max_codepoint=255), max_size=60),
    st.text(max_size=30) | st.sampled_from(["9" * 5000, "٣", "-1", "+1", "1_0", "0x1", "5000000"]),
    st.booleans(),
)
@example(
    "GET", "hub.mode=subscribe&hub.verify_token=the-verify-token&hub.challenge=%ff%00", "", False
)
@example("POST", "", "9" * 5000, False)
@example("POST", "", "٣", True)
def test_any_request_line(method: str, query: str, length: str, chunked: bool) -> None:
    harness = Harness()
    status, _ = harness.ask(
        method,
        b"{}",
        QUERY_STRING=query,
        CONTENT_LENGTH=length,
        **{"wsgi.input_terminated": chunked},
    )
    assert status in (200, 400, 401, 403, 405, 413)
    assert status != 200 or method in ("GET", "HEAD")
    assert harness.rows == []
