"""Simulated webhook bodies with all of Meta's event types, and their expected counts; pure."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from dmstats.core.records import SIMULATED

DM_SHARE = 0.9
"""The share of direct messages; the rest are reactions, read receipts and other events."""
NOT_COUNTED_SHARE = 0.01
"""The share of POSTs with an additional entry that must be ignored: standby, self or test."""
TEXTS = ("Grüße äöå 👋", "see https://example.com/a?b=1", "LINK", "…", "\ud83d half an emoji")


class Delivery(msgspec.Struct, frozen=True):
    """One POST: its raw body and the keys of its events, which may include repeated ones."""

    body: bytes
    keys: Sequence[str]


class Traffic:
    """An endless, reproducible stream of deliveries.

    ``expected`` counts each generated event once, by kind (``sent``, ``received``, ``reaction``,
    ...); ``repeated`` counts repetitions. ``run`` (16 hexadecimal digits) makes the events and
    accounts of runs with the same seed distinct. The ids of the ``accounts`` start with ``prefix``.
    """

    def __init__(
        self,
        *,
        seed: int,
        accounts: int,
        duplicates: float,
        batch: tuple[int, int],
        run: str | None = None,
    ) -> None:
        self._random = random.Random(seed)  # noqa: S311 - has to be repeatable, not secret
        made = f"{self._random.getrandbits(64):016x}"
        self._run = run or made
        self.prefix = f"{SIMULATED}{self._run[:8]}-"
        self.accounts = [f"{self.prefix}{number:05d}" for number in range(1, accounts + 1)]
        self._duplicates = duplicates
        self._batch = batch
        self._serial = 0
        self._past: list[tuple[str, str, dict[str, Any]]] = []
        self.expected: Counter[str] = Counter()
        self.repeated = 0

    @property
    def dms(self) -> int:
        """The number of distinct direct messages generated so far."""
        return self.expected["sent"] + self.expected["received"]

    def deliveries(self, now_ms: int) -> Iterator[Delivery]:
        """Deliveries of events that happen at ``now_ms`` (or up to two minutes earlier)."""
        while True:
            yield self.delivery(now_ms)

    def delivery(self, now_ms: int) -> Delivery:
        """One delivery, its events spread over several accounts and out of order."""
        events = []
        for _ in range(self._random.randint(*self._batch)):
            if self._past and self._random.random() < self._duplicates:
                self.repeated += 1
                events.append(self._random.choice(self._past))
            else:
                events.append(self._event(now_ms))
        self._random.shuffle(events)
        by_account: dict[str, list[dict[str, Any]]] = {}
        for account, _, item in events:
            by_account.setdefault(account, []).append(item)
        entries: list[dict[str, Any]] = [
            {"id": account, "time": now_ms, "messaging": items}
            for account, items in by_account.items()
        ]
        if self._random.random() < NOT_COUNTED_SHARE:
            entries.append(self._not_counted(now_ms))
        # Meta escapes what is not ASCII, and slashes.
        text = json.dumps({"object": "instagram", "entry": entries}).replace("/", "\\/")
        return Delivery(text.encode("ascii"), [key for _, key, _ in events])

    def _event(self, now_ms: int) -> tuple[str, str, dict[str, Any]]:
        self._serial += 1
        account = self._random.choice(self.accounts)
        person = str(self._random.randint(10**15, 10**15 + 5000))
        time_ms = now_ms - int(self._random.expovariate(1 / 4_000)) % 120_000
        mid = f"aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOj{self._run}{self._serial:012d}".ljust(164, "Z")
        dm = self._random.random() < DM_SHARE
        kind, extra = self._message(mid) if dm else self._other(mid)
        sender, recipient = (account, person) if kind == "sent" else (person, account)
        item = {"sender": {"id": sender}, "recipient": {"id": recipient}, "timestamp": time_ms}
        event = (account, f"{self._run}-{self._serial}", item | extra)
        self.expected[kind] += 1
        self._past.append(event)
        if len(self._past) > 2_000:
            del self._past[:1_000]
        return event

    def _message(self, mid: str) -> tuple[str, dict[str, Any]]:
        message: dict[str, Any] = {"mid": mid}
        roll = self._random.random()
        if roll < 0.05:
            message["is_unsupported"] = True
        elif roll < 0.15:
            reel = {"type": "ig_reel", "payload": {"url": "https://example.com/r.mp4"}}
            message["attachments"] = [reel]
        else:
            message["text"] = self._random.choice(TEXTS)
        if self._random.random() < 0.6:
            return "sent", {"message": message | {"is_echo": True}}
        return "received", {"message": message}

    def _other(self, mid: str) -> tuple[str, dict[str, Any]]:
        shapes: list[tuple[str, dict[str, Any]]] = [
            ("unsent", {"message": {"mid": mid, "is_deleted": True}}),
            ("reaction", {"reaction": {"mid": mid, "action": "react", "emoji": "\u2764\ufe0f"}}),
            ("reaction", {"reaction": {"mid": mid, "action": "unreact"}}),
            ("seen", {"read": {"mid": mid}}),
            ("postback", {"postback": {"mid": mid, "title": "Hours?", "payload": "FAQ"}}),
            ("referral", {"referral": {"ref": mid, "source": "https://ig.me/m/x", "type": "OPEN"}}),
            ("edit", {"message_edit": {"mid": mid, "text": "edited", "num_edit": 1}}),
            ("unknown", {"optin": {"ref": mid}}),
        ]
        return self._random.choice(shapes)

    def _not_counted(self, now_ms: int) -> dict[str, Any]:
        account = self._random.choice(self.accounts)
        item = {"sender": {"id": account}, "recipient": {"id": account}, "timestamp": now_ms}
        message = {"mid": "not-counted", "text": "preview", "is_echo": True, "is_self": True}
        test = {"field": "messages", "value": {"timestamp": "1527459824"}}
        return self._random.choice(
            [
                {"id": account, "time": now_ms, "messaging": [item | {"message": message}]},
                {"id": account, "time": now_ms, "standby": [item | {"message": message}]},
                {"id": "0", "time": now_ms // 1000, "changes": [test]},
            ]
        )
