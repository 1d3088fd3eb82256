"""Tells somebody outside: a POST of a small JSON document to the alert address."""

from __future__ import annotations

import logging
from typing import Protocol

import msgspec
from urllib3.exceptions import HTTPError

from dmstats.ops.outgoing import pool_for

logger = logging.getLogger(__name__)

SECONDS = 5.0


class Notice(msgspec.Struct, frozen=True):
    """``state`` is "open" or "over", ``at`` RFC 3339; chats show ``text``."""

    incident: str
    state: str
    text: str
    at: str


class Notifier(Protocol):
    """Whoever is sent of incidents."""

    def notify(self, notice: Notice) -> bool:
        """Whether the notice arrived, or need not: else it is tried again later."""


class LogOnly:
    """Where no address is set the log line has to do."""

    def notify(self, notice: Notice) -> bool:  # noqa: ARG002 - nobody to tell
        return True


class WebhookNotifier:
    """Posts to ``url``, which is a secret: chats' addresses are keys."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = pool_for(url, retries=False, timeout=SECONDS)

    def notify(self, notice: Notice) -> bool:
        try:
            answer = self._http.request(
                "POST",
                self._url,
                body=msgspec.json.encode(notice),
                headers={"Content-Type": "application/json"},
            )
        except HTTPError as error:
            logger.warning("alert_not_sent", extra={"reason": type(error).__name__})
            return False
        # A redirect, as to a sign-in page, is no answer of who should be sent. It is not followed:
        # the address is a secret, and the place it leads to is somebody else's choice.
        sent = 200 <= answer.status < 300
        if not sent:
            logger.warning("alert_not_sent", extra={"reason": f"status {answer.status}"})
        return sent
