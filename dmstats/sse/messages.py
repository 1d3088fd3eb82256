"""Server-sent events: encoded once, however many streams they go to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import msgspec

STATS = "stats"
HEARTBEAT = "heartbeat"
PROBE = b'{"type":"probe"}'
"""What `flask doctor` publishes to see that it may; it means nothing."""

Order = tuple[int, int]


class Figures(Protocol):
    """A snapshot, ready to be shown; ``order`` is its version as a tuple that compares."""

    @property
    def version(self) -> str: ...

    @property
    def order(self) -> Order: ...

    @property
    def body(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Event:
    """One event in flask-sse's wire format; ``str(event)`` is what its Message would print.

    ``order`` is the version's place for ``stats`` events, None for the others; ``chunk`` is what is
    ``encoded`` as a chunk of an HTTP/1.1 body.
    """

    type: str
    data: str
    id: str | None = None
    order: Order | None = None
    encoded: bytes = field(init=False, repr=False)
    chunk: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        lines = [f"event:{self.type}", *(f"data:{line}" for line in self.data.split("\n"))]
        if self.id:
            lines.append(f"id:{self.id}")
        object.__setattr__(self, "encoded", ("\n".join(lines) + "\n\n").encode())
        object.__setattr__(self, "chunk", chunk(self.encoded))

    def __str__(self) -> str:
        return self.encoded.decode()


LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """``data``, not empty, as a chunk of an HTTP/1.1 body (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def stats_event(figures: Figures) -> Event:
    """The event that carries a snapshot; its id is the version."""
    return Event(STATS, figures.body.decode(), figures.version, figures.order)


def heartbeat_event(at: str, version: str | None, *, live: bool) -> Event:
    """Proof of life: ``at`` (RFC 3339), whether updates reach this worker, the newest version
    that it knows (a refresh within the publish limit is not sent out, but is named here)."""
    beat = {"at": at, "live": live, "version": version}
    return Event(HEARTBEAT, msgspec.json.encode(beat).decode())


def published_figures(message: bytes | str) -> object:
    """What a published message (``{"data", "type", "id"}``) says the snapshot is; ``ValueError``
    if that is no message of ours."""
    try:
        fields = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError("no JSON") from error
    if not isinstance(fields, dict) or fields.get("type") != STATS:
        raise ValueError("no stats message")
    return fields.get("data")
