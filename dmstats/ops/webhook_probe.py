"""Checks that the webhook at an address answers as Meta requires."""

from __future__ import annotations

import secrets

from urllib3.exceptions import HTTPError

from dmstats.core.constants import WEBHOOK_PATH
from dmstats.core.errors import plain_reason
from dmstats.core.signature import sign
from dmstats.ops.findings import Finding, failed, passed
from dmstats.ops.outgoing import pool_for

CHECK = "webhook"
EMPTY = b'{"object":"instagram","entry":[]}'
SECONDS = 5.0


def probe_webhook(base_url: str, verify_token: str, app_secret: str) -> Finding:
    """Send Meta's handshake and a signed delivery without events; nothing is counted."""
    url = base_url.rstrip("/") + WEBHOOK_PATH
    challenge = secrets.token_hex(8)
    try:
        with pool_for(url, retries=False, timeout=SECONDS) as http:
            asked = {
                "hub.mode": "subscribe",
                "hub.verify_token": verify_token,
                "hub.challenge": challenge,
            }
            shaken = http.request("GET", url, fields=asked)
            if shaken.status != 200 or shaken.data != challenge.encode():
                return _wrong(url, "the handshake", shaken.status)
            headers = {
                "Content-Type": "application/json",
                "X-Hub-Signature-256": sign(EMPTY, app_secret),
            }
            sent = http.request("POST", url, body=EMPTY, headers=headers)
            if sent.status != 200:
                return _wrong(url, "a signed delivery", sent.status)
    except HTTPError as error:
        return failed(
            CHECK,
            f"{base_url} does not answer: {plain_reason(error)}",
            "Check that the service is running there, and check DNS, firewall and TLS "
            "certificate. To test another address, use --url.",
        )
    return passed(CHECK, f"{url} answers the handshake and a signed delivery")


def _wrong(url: str, what: str, status: int) -> Finding:
    return failed(
        CHECK,
        f"{url} answers {what} with {status}",
        "Check that this address leads to this installation with the same META_VERIFY_TOKEN and "
        "META_APP_SECRET, and that no proxy changes bodies, headers or query strings.",
    )
