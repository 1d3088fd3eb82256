"""Sends alerts: JSON to a web address, or a message to a chat, a pager or a mailbox by Apprise."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import msgspec
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

from dmstats.ops.bounded_post import Posted, problem_of_address
from dmstats.ops.incidents import kind_of
from dmstats.ops.mail_page import mail_page, moment

SECONDS = 10.0
"""For all of an attempt, of which each step may take :data:`STEP_SECONDS`."""
STEP_SECONDS = 5.0
APPRISE_SECONDS = 20.0
"""It needs two seconds to load, and gives up on a server after eight."""
MAX_WAIT_SECONDS = 3600.0
CHILD = Path(__file__).with_name("apprise_child.py")
KEY_DIGITS = 12

OPEN, OVER, TEST = "open", "over", "test"
KINDS = {OPEN: "failure", OVER: "success", TEST: "info"}
"""Apprise's types of notifications, by state."""
MAIL_SCHEMES = ("mailto", "mailtos")


class Notice(msgspec.Struct, frozen=True):
    """``state`` is "open", "over" or "test", ``at`` is RFC 3339; chat services display ``text``."""

    incident: str
    state: str
    text: str
    at: str

    @property
    def title(self) -> str:
        """A subject line."""
        name = kind_of(self.incident).replace("_", " ")
        return f"dmstats: {name}{' is over' if self.state == OVER else ''}"


class Outcome(msgspec.Struct, frozen=True, rename="camel"):
    """``problem`` is the reason for a failure, without any part of the address. ``retry_after`` is
    the delay in seconds that the server asked for, if any."""

    told: bool
    problem: str = ""
    retry_after: float | None = None


class Channel(Protocol):
    """One address for alerts. ``key`` identifies it, ``label`` is shown to admins; neither contains
    a secret."""

    key: str
    label: str

    def notify(self, notice: Notice, incident_id: str) -> Outcome:
        """Send ``notice``; ``incident_id`` is the same at the beginning and the end."""

    def check(self) -> Outcome:
        """Whether the address can be used at all; sends nothing."""

    def wants(self, incident: str) -> bool:  # noqa: ARG002 - as those that admins made
        """Whether the channel is notified of the incident with this name."""
        return True

    def is_quiet(self, now_ms: int) -> bool:  # noqa: ARG002 - as those that admins made
        """Whether the channel has quiet hours now; alerts are sent afterwards."""
        return False


class JsonChannel(Channel):
    """Posts the notice as JSON to ``url``, which is a secret: it may contain a key."""

    def __init__(self, url: str, key: str, label: str, *, seconds: float = SECONDS) -> None:
        self.key, self.label = key, label
        self._url = url
        self._seconds = seconds

    def notify(self, notice: Notice, incident_id: str) -> Outcome:
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": f"{incident_id}-{notice.state}",
        }
        # Google Chat refuses fields that it does not know; Discord wants `content`.
        bodies = (notice, {"text": notice.text}, {"content": notice.text})
        answer = Posted(self._url, [*map(msgspec.json.encode, bodies)], headers, STEP_SECONDS)
        if not answer.wait(self._seconds):
            return Outcome(told=False, problem="no answer in time")
        if answer.problem:
            return Outcome(told=False, problem=answer.problem)
        # A redirect, for example to a sign-in page, counts as a failure. It is not followed: that
        # would send the alert to an address that the operator did not configure.
        if 200 <= answer.status < 300:
            return Outcome(told=True)
        wait = _retry_after(answer.headers.get("Retry-After"))
        return Outcome(told=False, problem=f"status {answer.status}", retry_after=wait)

    def check(self) -> Outcome:
        problem = problem_of_address(self._url)
        return Outcome(told=not problem, problem=problem)


def _retry_after(given: str | None) -> float | None:
    if given is None:
        return None
    with suppress(InvalidHeader):
        return min(Retry().parse_retry_after(given), MAX_WAIT_SECONDS)
    return None


class AppriseChannel(Channel):
    """Sends to ``url`` by Apprise, in a child process (see ``apprise_child.py``)."""

    def __init__(self, url: str, key: str, label: str, *, seconds: float = APPRISE_SECONDS) -> None:
        self.key, self.label = key, label
        self._url = url
        self._seconds = seconds

    def notify(self, notice: Notice, incident_id: str) -> Outcome:
        told = {"title": notice.title, "body": notice.text, "kind": KINDS[notice.state]}
        if kind_of_address(self._url) in MAIL_SCHEMES:
            told["html"] = mail_page(notice.title, notice.text, small=(moment(notice.at),))
        return self._ask(**told, key=incident_id)

    def check(self) -> Outcome:
        return self._ask(title="", body="", kind="check", key="")

    def _ask(self, **request: str) -> Outcome:
        # The address goes through a pipe: arguments and environment are visible to other users.
        line = msgspec.json.encode({"url": self._url, **request}) + b"\n"
        with subprocess.Popen(  # noqa: S603 - a fixed program
            [sys.executable, "-P", str(CHILD)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as child:
            try:
                # Not closed before it has answered: the child ends when this process does.
                child.stdin.write(line)  # type: ignore[union-attr]
                child.wait(self._seconds)
                return msgspec.json.decode(child.stdout.read(), type=Outcome)  # type: ignore[union-attr]
            except subprocess.TimeoutExpired:
                return Outcome(told=False, problem="no answer in time")
            except (OSError, msgspec.DecodeError):
                return Outcome(told=False, problem="Apprise failed")
            finally:
                child.kill()


def channels_of(urls: Sequence[str], secret_key: str) -> list[Channel]:
    """The channels of ``DMSTATS_ALERT_URL``.

    ``key`` is a keyed digest of the address: it is stored, and a reader must not be able to try out
    passwords on it.
    """
    found: list[Channel] = []
    names = Counter[str]()
    for url in urls:
        digest = hmac.new(secret_key.encode(), url.encode(), hashlib.sha256).hexdigest()
        key, name = digest[:KEY_DIGITS], kind_of_address(url)
        names[name] += 1
        label = f"{name} {names[name]}" if names[name] > 1 else name
        found.append(channel_of(url, key, label))
    return found


def channel_of(url: str, key: str, label: str) -> Channel:
    """The channel of one address."""
    web = url.lower().startswith(("http://", "https://"))
    return (JsonChannel if web else AppriseChannel)(url, key, label)


def kind_of_address(url: str) -> str:
    """The scheme, and of a web address the host; the rest may be secret."""
    parts = urlsplit(url)
    return parts.hostname or parts.scheme if parts.scheme in ("http", "https") else parts.scheme
