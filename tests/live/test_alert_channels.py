"""Apprise against servers that are as strict as the real ones, and what a kill leaves behind."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import redis
import requests
from aiosmtpd.controller import Controller

from dmstats.core.clock import SystemClock
from dmstats.db.client import Mongo
from dmstats.db.incidents import IncidentStore
from dmstats.ops import apprise_child
from dmstats.ops.alerts import AlertSender
from dmstats.ops.incident_book import IncidentBook
from dmstats.ops.notifier import KINDS, AppriseChannel, Notice, channels_of
from tests.chats import HOSTS, Chats, chats
from tests.keyspace import KEYS
from tests.servers import bare_environ, free_port, wait_until

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow(30),
    # Apprise imports what Python 3.13 no longer has, where it is there.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

SLACK = "slack://T1JJ3T3L2/B1JJ3T3L2/{:024d}/#general"
URLS = {
    "slack": SLACK.format(0),
    "discord": f"discord://123456789012345678/{'a' * 68}",
    "gchat": "gchat://workspace/key123/token123",
    "telegram": f"tgram://123456789:{'A' * 35}/12315544",
    "pagerduty": f"pagerduty://{'k' * 32}@{'a' * 20}",
}
TEXT = "The counters <differ> & more: run `flask audit`."
NOTICE = Notice(
    "drift", "open", "The counters <differ> & more: run `flask audit`.", "2026-11-15T12:34Z"
)
ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 60.0
"""Loading Apprise takes seconds; on a machine that is busy it takes longer."""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chats]:
    with chats(tmp_path_factory.mktemp("chats")) as found, pytest.MonkeyPatch.context() as patch:
        for name, value in found.environ.items():
            patch.setenv(name, value)
        yield found


def tell(url: str, notice: Notice = NOTICE) -> dict[str, Any]:
    """What the child process does, without the two seconds that it needs to load Apprise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests.Session, "send", requests.Session.send)
        return apprise_child.outcome(
            {"url": url, "title": notice.title, "body": notice.text,
             "kind": KINDS[notice.state], "key": "incident-1"}
        )  # fmt: skip


TOLD = {"told": True, "problem": "", "retryAfter": None}


def failed(problem: str, retry_after: float | None = None) -> dict[str, Any]:
    return {"told": False, "problem": problem, "retryAfter": retry_after}


@pytest.mark.parametrize("name", URLS)
def test_it_works(strict: Chats, name: str) -> None:
    """Each service accepts what it gets."""
    strict.accepted.clear()
    assert tell(URLS[name]) == TOLD
    assert strict.refused == {}
    (accepted,) = strict.accepted[HOSTS[name]]
    assert "flask audit" in str(accepted)
    if name == "telegram":
        assert "&lt;differ&gt; &amp; more" in accepted["text"], "text, not markup"


def test_the_end_resolves_the_pagers_incident(strict: Chats) -> None:
    strict.accepted.clear()
    tell(URLS["pagerduty"])
    tell(URLS["pagerduty"], Notice("drift", "over", "Over after 5 minutes", "2026-11-15"))
    begun, ended = strict.accepted[HOSTS["pagerduty"]]
    assert (begun["event_action"], begun["payload"]["severity"]) == ("trigger", "critical")
    assert (ended["event_action"], ended["dedup_key"]) == ("resolve", begun["dedup_key"])


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((429, {"Retry-After": "7"}, "rate_limited"), failed("status 429", 7.0)),
        ((429, {"Retry-After": "soon"}, "rate_limited"), failed("status 429")),
        ((503, {"Retry-After": "Sun, 15 Nov 2020 12:00:00 GMT"}, ""), failed("status 503", 0.0)),
        ((429, {}, '{"retry_after": 0.5}'), failed("status 429", 0.5)),
        ((429, {}, '{"parameters": {"retry_after": 33}}'), failed("status 429", 33.0)),
        ((429, {}, '{"retry_after": "later"}'), failed("status 429")),
        ((429, {}, "[]"), failed("status 429")),
        ((302, {"Location": "https://hooks.slack.com/sign-in"}, ""), failed("status 302")),
        ((308, {"Location": "https://hooks.slack.com/sign-in"}, ""), failed("status 308")),
        ((400, {}, "invalid_payload"), failed("status 400")),
        ("hang", failed("no answer in time")),
    ],
)
def test_only_2xx_means_delivered(strict: Chats, answer: Any, expected: dict[str, Any]) -> None:
    path = urlsplit(URLS["slack"])
    strict.script[f"/services/{path.netloc}{path.path.rpartition('/')[0]}"] = [answer]
    try:
        assert tell(URLS["slack"]) == expected
    finally:
        assert strict.script.popitem()[1] == []
    assert not [path for path in strict.asked if "sign-in" in path], "a redirect is not followed"


@pytest.mark.parametrize("name", URLS)
def test_each_service_may_refuse_redirect_or_ask_to_wait(strict: Chats, name: str) -> None:
    strict.asked.clear()
    assert tell(URLS[name]) == TOLD
    path = strict.asked[-1]
    answers: list[tuple[Any, dict[str, Any]]] = [
        ((429, {"Retry-After": "7"}, ""), failed("status 429", 7.0)),
        ((302, {"Location": "https://hooks.slack.com/sign-in"}, ""), failed("status 302")),
        ((400, {}, ""), failed("status 400")),
        ((503, {}, ""), failed("status 503")),
    ]
    for answer, expected in answers:
        # Apprise itself asks Discord once more after a 429.
        times = 2 if name == "discord" and answer[0] == 429 else 1
        strict.script[path] = [answer] * times
        try:
            assert tell(URLS[name]) == expected
        finally:
            assert strict.script.pop(path) == []
    assert not [each for each in strict.asked if "sign-in" in each], "a redirect is not followed"
    assert tell(URLS[name]) == TOLD


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    assert tell(URLS["discord"]) == failed("not reachable")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (URLS["slack"], True),
        ("slak://secret-part/x", False),
        ("slack://secret-part", False),
    ],
)
def test_the_child_process(
    strict: Chats, caplog: pytest.LogCaptureFixture, url: str, told: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    channel = AppriseChannel(url, "key", "label", seconds=WAIT_SECONDS)
    found = channel.notify(NOTICE, "incident-1") if told else channel.check()
    assert found.told is told
    assert told or found.problem == "the address is not a valid Apprise address"
    assert "secret-part" not in str(found) + caplog.text


class Mailbox:
    """Takes mails; refuses those to anybody else."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if not address.endswith("@example.com"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        self.mails.append(envelope.content)
        return "250 OK"


def test_mail() -> None:
    mailbox = Mailbox()
    server = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    server.start()
    try:
        base = f"mailto://127.0.0.1:{server.port}?from=dmstats@example.com&mode=insecure&to="
        assert tell(f"{base}a@example.com,b@example.com")["told"]
        assert not tell(f"{base}c@example.net")["told"]
        channel = AppriseChannel(f"{base}c@example.com", "key", "label", seconds=WAIT_SECONDS)
        assert channel.notify(NOTICE, "incident-1").told
    finally:
        server.stop()
    assert not tell(f"{base}a@example.com")["told"], "the server is away"
    mails = [message_from_bytes(mail, policy=policy.default) for mail in mailbox.mails]
    assert {mail["Subject"] for mail in mails} == {"dmstats: drift"}
    (mail,) = [mail for mail in mails if mail["To"] == "c@example.com"]
    text, html = (_part(mail, kind) for kind in ("plain", "html"))
    assert TEXT in text
    assert escape(TEXT) in html
    assert "2026-11-15 12:34 UTC" in text
    assert "2026-11-15 12:34 UTC" in html
    assert "prefers-color-scheme" not in text


def _part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    assert isinstance(found, EmailMessage)
    return str(found.get_content())


def test_the_child_ends_with_its_parent(strict: Chats) -> None:
    path = f"/services/T1JJ3T3L2/B1JJ3T3L2/{9:024d}"
    strict.script[path] = ["hang"]
    program = (
        "from dmstats.ops.notifier import AppriseChannel, Notice\n"
        f"AppriseChannel({SLACK.format(9)!r}, 'k', 'l', seconds=60)"
        ".notify(Notice('drift', 'open', 'text', 'now'), 'i')"
    )
    environ = {**bare_environ(), **strict.environ}
    with subprocess.Popen([sys.executable, "-c", program], env=environ, cwd=ROOT) as parent:
        wait_until(lambda: path in strict.asked, seconds=WAIT_SECONDS)
        (child,) = psutil.Process(parent.pid).children()
        assert "hooks" not in str(child.cmdline()) + str(child.environ().get("DMSTATS_ALERT_URL"))
        parent.kill()
        parent.wait()
        child.wait(timeout=10)


LEADER = """
import sys, redis
from dmstats.core.clock import SystemClock
from dmstats.core.settings import Settings
from dmstats.ops import apprise_child
from dmstats.db.client import connect
from dmstats.db.incidents import IncidentRecord, IncidentStore, record_id
from dmstats.ops.alerts import AlertSender, announce
from dmstats.ops.incident_book import IncidentBook
from dmstats.ops.notifier import channels_of
from tests.keyspace import KEYS

uri, database, redis_url, *urls = sys.argv[1:]
client, clock = redis.Redis.from_url(redis_url), SystemClock()
mongo = connect(Settings(mongodb_uri=uri, mongodb_db=database))
book = IncidentBook(IncidentStore(mongo), client, KEYS)
channels, now = channels_of(urls, "secret-key"), clock.now_ms()
record = IncidentRecord(record_id(now, "drift"), "drift", "text", now)
announce(record, "open", channels, now)
book.save(record)
AlertSender(channels, book, client, KEYS, clock, claim_ms=1000).send([record])
"""


class Hook:
    """A web address that takes JSON; while ``holding``, requests are not answered."""

    def __init__(self) -> None:
        self.asked = self.answered = 0
        self.holding = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                hook.asked += 1
                if hook.holding.is_set():
                    wait_until(lambda: not hook.holding.is_set(), seconds=WAIT_SECONDS)
                    return
                hook.answered += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def test_after_a_kill_each_channel_is_notified_once(
    mongo: Mongo, redis_client: redis.Redis, mongodb_uri: str, redis_url: str
) -> None:
    """One chat has answered and another has not when the leader is killed."""
    quick, slow = Hook(), Hook()
    slow.holding.set()
    urls = [quick.url, slow.url]
    arguments = [mongodb_uri, mongo.db.name, redis_url, *urls]
    command = [sys.executable, "-c", LEADER, *arguments]
    with subprocess.Popen(command, env=bare_environ(), cwd=ROOT) as leader:
        store = IncidentStore(mongo)

        def told_to_one() -> bool:
            alerts = [alert for record in store.pending() for alert in record.alerts]
            return [bool(alert.told) for alert in alerts] == [True, False] and slow.asked == 1

        wait_until(told_to_one, seconds=WAIT_SECONDS)
        leader.kill()
        leader.wait()
    slow.holding.clear()
    book = IncidentBook(store, redis_client, KEYS)
    sender = AlertSender(channels_of(urls, "secret-key"), book, redis_client, KEYS, SystemClock())

    def told_to_both() -> bool:
        sender.send(book.pending())
        return slow.answered == 1

    wait_until(told_to_both, seconds=WAIT_SECONDS)
    sender.send(book.pending())
    assert (quick.answered, slow.answered) == (1, 1)
    (record,) = book.pending()
    assert all(alert.told for alert in record.alerts)
    for hook in (quick, slow):
        hook.close()
