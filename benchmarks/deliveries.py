"""Signed webhook requests as raw HTTP, made ahead of a run so that making them costs it nothing."""

from __future__ import annotations

import hashlib
import hmac
import os
import random
import time

PATH = "/api/webhooks/instagram"
SECRET = "benchmark-app-secret"


def requests(
    number: int, *, dms: int, accounts: int, skew: float = 0.0, entries: int | None = None
) -> list[bytes]:
    """``number`` POSTs with such :func:`bodies`, signed."""
    made = bodies(number, dms=dms, accounts=accounts, skew=skew, entries=entries)
    return [_http(body) for body in made]


def bodies(
    number: int, *, dms: int, accounts: int, skew: float = 0.0, entries: int | None = None
) -> list[bytes]:
    """``number`` bodies of ``dms`` direct messages each, every message unique.

    Accounts are drawn evenly from ``accounts``; with ``skew``, that share goes to one of them.
    The messages of one POST belong to ``entries`` accounts (by default one for up to five DMs).
    """
    chance = random.Random(7)
    run = os.urandom(8).hex()
    now_ms = time.time_ns() // 1_000_000
    groups = entries or max(1, dms // 5)
    return [_body(n, chance, run, now_ms, dms, accounts, skew, groups) for n in range(number)]


def _body(
    serial: int,
    chance: random.Random,
    run: str,
    now_ms: int,
    dms: int,
    accounts: int,
    skew: float,
    groups: int,
) -> bytes:
    entries = []
    for group in range(groups):
        chosen = 0 if chance.random() < skew else chance.randrange(accounts)
        account = f"1784140{chosen:010d}"
        size = dms // groups + (group < dms % groups)
        items = ",".join(
            _message(account, chance, f"{run}{serial:09d}{group:02d}{n:03d}", now_ms)
            for n in range(size)
        )
        entries.append(f'{{"id":"{account}","time":{now_ms},"messaging":[{items}]}}')
    return f'{{"object":"instagram","entry":[{",".join(entries)}]}}'.encode()


def _message(account: str, chance: random.Random, key: str, now_ms: int) -> str:
    person = 10**15 + chance.randrange(5000)
    mid = f"aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOj{key}".ljust(164, "Z")
    time_ms = now_ms - chance.randrange(2000)
    sent = chance.random() < 0.6
    sender, recipient = (account, person) if sent else (person, account)
    echo = ',"is_echo":true' if sent else ""
    return (
        f'{{"sender":{{"id":"{sender}"}},"recipient":{{"id":"{recipient}"}},"timestamp":{time_ms},'
        f'"message":{{"mid":"{mid}","text":"Hello, is this still there?"{echo}}}}}'
    )


def _http(body: bytes) -> bytes:
    """A POST as it arrives from Meta through nginx."""
    sha1 = hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()
    sha256 = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    lines = (
        f"POST {PATH} HTTP/1.1",
        "Host: dms.example.com",
        "X-Real-IP: 173.252.127.20",
        "X-Forwarded-For: 173.252.127.20",
        "X-Forwarded-Proto: https",
        f"Content-Length: {len(body)}",
        "Accept: */*",
        "Accept-Encoding: deflate, gzip",
        "User-Agent: Webhooks/1.0 (https://fb.me/webhooks)",
        "Content-Type: application/json",
        f"X-Hub-Signature: sha1={sha1}",
        f"X-Hub-Signature-256: sha256={sha256}",
    )
    return "\r\n".join([*lines, "", ""]).encode() + body
