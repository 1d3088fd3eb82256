"""What a worker asks of its host's foreman, and what it hears: messages, pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dmstats.commit.batch import Counted
from dmstats.core.records import LedgerRow

PROTOCOL = 1
"""Part of the socket's name: two releases on one host must not misread each other. To be raised
with every change of what is sent, :class:`dmstats.core.records.LedgerRow` included."""

GOODBYE = -1
"""The number of the reply that answers nothing: ask no more, what you asked is still answered."""


class Errand(msgspec.Struct, array_like=True, gc=False):
    """Count these rows within so many ``seconds``; ``number`` names the reply."""

    number: int
    seconds: float
    rejected: int
    rows: Sequence[LedgerRow]


class Reply(msgspec.Struct, array_like=True, gc=False):
    """What became of an errand; without ``counted`` it is not known to be durable, and why."""

    number: int
    counted: Counted | None = None
    reason: str = ""


encode = msgspec.msgpack.Encoder().encode
read_errand = msgspec.msgpack.Decoder(Errand).decode
read_reply = msgspec.msgpack.Decoder(Reply).decode
