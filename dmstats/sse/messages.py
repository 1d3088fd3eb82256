"""Server-sent events, encoded once for all streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import msgspec

STATS = "stats"
HEARTBEAT = "heartbeat"
PROBE = b'{"type":"probe"}'
"""What `dmstats doctor` publishes to test its permission; subscribers ignore it."""

Order = tuple[int, int]


class Figures(Protocol):
    """An encoded snapshot; ``order`` is its version as a comparable tuple."""

    @property
    def version(self) -> str: ...

    @property
    def order(self) -> Order: ...

    @property
    def body(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Event:
    """One event in flask-sse's wire format; ``str(event)`` is what its Message would print.

    ``order`` is the version of a ``stats`` event, None for other events. ``chunk`` is ``encoded``
    as a chunk of an HTTP/1.1 body.
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
    """The event that carries a snapshot; the event id is the version."""
    return Event(STATS, figures.body.decode(), figures.version, figures.order)


def heartbeat_event(at: str, version: str | None, *, live: bool) -> Event:
    """A heartbeat: ``at`` (RFC 3339), whether the worker is subscribed (``live``), and the newest
    version it knows, which includes refreshes that the publish limit held back."""
    beat = {"at": at, "live": live, "version": version}
    return Event(HEARTBEAT, msgspec.json.encode(beat).decode())


def published_figures(message: bytes | str) -> object:
    """The snapshot in a published message (``{"data", "type", "id"}``); ``ValueError`` if this is
    not one of our messages."""
    try:
        fields = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError("no JSON") from error
    if not isinstance(fields, dict) or fields.get("type") != STATS:
        raise ValueError("no stats message")
    return fields.get("data")
