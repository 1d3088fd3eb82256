"""Sends alerts: a POST of a small JSON document to the alert address."""

from __future__ import annotations

import logging
from typing import Protocol

import msgspec
from urllib3.exceptions import HTTPError

from dmstats.ops.outgoing import pool_for

logger = logging.getLogger(__name__)

SECONDS = 5.0
BAD_REQUEST = 400


class Notice(msgspec.Struct, frozen=True):
    """``state`` is "open" or "over", ``at`` is RFC 3339; chat services display ``text``."""

    incident: str
    state: str
    text: str
    at: str


class Notifier(Protocol):
    """A channel for alerts."""

    def notify(self, notice: Notice) -> bool:
        """Send ``notice``; False if it failed and should be retried later."""


class LogOnly:
    """Sends nothing: without an alert address, incidents are only logged."""

    def notify(self, notice: Notice) -> bool:  # noqa: ARG002 - no recipient
        return True


class WebhookNotifier:
    """Posts to ``url``, which is a secret: chat webhook addresses contain keys."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = pool_for(url, retries=False, timeout=SECONDS)

    def notify(self, notice: Notice) -> bool:
        status = BAD_REQUEST
        try:
            # Google Chat refuses fields that it does not know; Discord wants `content`.
            for body in (notice, {"text": notice.text}, {"content": notice.text}):
                status = self._post(body)
                if status != BAD_REQUEST:
                    break
        except HTTPError as error:
            logger.warning("alert_not_sent", extra={"reason": type(error).__name__})
            return False
        # A redirect, for example to a sign-in page, counts as a failure. It is not followed: that
        # would send the alert to an address that the operator did not configure.
        sent = 200 <= status < 300
        if not sent:
            logger.warning("alert_not_sent", extra={"reason": f"status {status}"})
        return sent

    def _post(self, body: object) -> int:
        headers = {"Content-Type": "application/json"}
        content = msgspec.json.encode(body)
        return self._http.request("POST", self._url, body=content, headers=headers).status
