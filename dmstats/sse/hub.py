"""One subscription per worker, fanned out to its streams, with heartbeats in between."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from socket import socket

import gevent
import redis

from dmstats.core.clock import Clock, rfc3339
from dmstats.core.errors import DmstatsError, Unavailable
from dmstats.core.keyspace import Keyspace
from dmstats.core.redis_outage import RedisOutage
from dmstats.sse.buffer import EventBuffer
from dmstats.sse.connections import FULL_RETRY_SECONDS, Connections
from dmstats.sse.greenlet_stream import GreenletStream
from dmstats.sse.messages import (
    PROBE,
    Event,
    Figures,
    Order,
    heartbeat_event,
    published_figures,
    stats_event,
)
from dmstats.sse.socket_stream import SocketStream
from dmstats.sse.sse_reporter import SseReporter
from dmstats.sse.subscription import Message, feed_for

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
BLOCKED_HEARTBEATS = 2
HEARTBEAT_SECONDS = 15.0
GUARD_SECONDS = 0.5
"""How often it is asked whether sessions have ended: their streams have to end within two seconds,
also where no message from Redis arrives."""


class Hub:
    """Brings every published snapshot to every stream of this worker; one per process.

    ``client`` is a Redis client of its own, with a socket time-out of a few seconds.
    ``latest`` gives the newest figures known anywhere (it may do IO, and raise a
    :class:`DmstatsError`); ``accept`` takes published ones and returns them ready to be shown,
    None if they are old, ``ValueError`` if they are none. ``ended`` tells which of the given
    sessions have ended (it may do IO, and raise a :class:`DmstatsError`). ``heartbeat`` is in
    seconds.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: Keyspace,
        latest: Callable[[], Figures],
        accept: Callable[[object], Figures | None],
        clock: Clock,
        metrics: SseReporter,
        *,
        transport: str = "pubsub",
        max_streams: int = 1000,
        heartbeat: float = HEARTBEAT_SECONDS,
        ended: Callable[[set[str]], set[str]] = lambda _: set(),
        outage: RedisOutage | None = None,
    ) -> None:
        self._feed = feed_for(transport, client, keys, clock)
        self._latest = latest
        self._accept = accept
        self._clock = clock
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._ended = ended
        self._connections = Connections(clock, metrics, max_streams)
        self._greenlets: list[gevent.Greenlet] = []
        self._outage = outage or RedisOutage()
        self._stopped = False
        self._order: Order = (0, 0)
        self._version: str | None = None
        self.connected = False

    @property
    def viewers(self) -> int:
        """How many streams are open."""
        return len(self._connections)

    def start(self) -> None:
        """Subscribe and begin to send heartbeats; needs a running gevent loop."""
        self._stopped = False
        self._greenlets = [gevent.spawn(run) for run in (self._listen, self._beat, self._guard)]

    def stop(self) -> None:
        """End every stream cleanly and let go of Redis."""
        self._stopped = True
        self._connections.close()
        gevent.killall(self._greenlets)
        self._greenlets = []
        self.connected = False

    def subscribe(self, session: str = "") -> GreenletStream:
        """Open a stream's mailbox; raises :class:`Unavailable` over the cap, or when stopping.

        It ends with the ``session``, unless that is empty.
        """
        if self._stopped:
            raise Unavailable("This worker is stopping.", retry_after=FULL_RETRY_SECONDS)
        return self._connections.admit(session)

    def hand_over(
        self, stream: EventBuffer, connection: socket, first: bytes, on_end: Callable[[], None]
    ) -> SocketStream:
        """Go on with a stream on its ``connection`` itself; see :class:`SocketStream`."""
        socket_stream = SocketStream(self._clock.monotonic, connection, stream, first, on_end)
        self._connections.replace(stream, socket_stream)
        return socket_stream

    def unsubscribe(self, stream: EventBuffer) -> None:
        """Forget a stream that has ended; more than once does no harm."""
        self._connections.forget(stream)

    def heartbeat(self) -> Event:
        """A heartbeat as of now."""
        return heartbeat_event(rfc3339(self._clock.now_ms()), self._version, live=self.connected)

    def _listen(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                for message in self._feed.listen():
                    if message is None:
                        self._caught_up()
                    else:
                        self._receive(message)
                    # Only now: what fails each time at the same place must not be tried faster.
                    pause = FIRST_PAUSE
            except redis.RedisError as error:
                self._outage.failed("subscription", error)
            except Exception:
                # Whatever it was, a worker without its subscription would show old figures as
                # live until it is restarted.
                logger.exception("hub_failed")
            self._set_connected(connected=False)
            gevent.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, LONGEST_PAUSE)

    def _caught_up(self) -> None:
        """Subscribed: whatever was published before is in the newest figures."""
        self._outage.answered()
        try:
            self._send(self._latest())
        except DmstatsError as error:
            logger.warning("no_figures", extra={"reason": error.reason})
        self._set_connected(connected=True)

    def _receive(self, message: Message) -> None:
        if message == PROBE:
            return
        try:
            figures = self._accept(published_figures(message))
        except ValueError:
            self._metrics.foreign_message()
            return
        if figures is not None:
            self._send(figures)

    def _send(self, figures: Figures) -> None:
        if figures.order > self._order:
            self._order = figures.order
            self._version = figures.version
            self._connections.send(stats_event(figures))

    def _set_connected(self, *, connected: bool) -> None:
        if connected != self.connected:
            self.connected = connected
            self._metrics.hub_connected(connected)
            # At once: the page starts or stops polling by it.
            self._connections.send(self.heartbeat())

    def _beat(self) -> None:
        while True:
            gevent.sleep(self._heartbeat)
            try:
                self._name_latest()
                self._connections.send(self.heartbeat())
                self._connections.drop_blocked(BLOCKED_HEARTBEATS * self._heartbeat)
            except Exception:
                # Heartbeats are how dead streams are noticed: they must not end.
                logger.exception("heartbeat_failed")

    def _guard(self) -> None:
        while True:
            gevent.sleep(GUARD_SECONDS)
            try:
                if sessions := self._connections.sessions():
                    self._connections.end_sessions(self._ended(sessions))
            except DmstatsError:
                pass  # Nobody can say now, and an outage is no reason to end streams.
            except Exception:
                logger.exception("guard_failed")

    def _name_latest(self) -> None:
        try:
            latest = self._latest()
        except DmstatsError:
            return
        if latest.order >= self._order:
            self._version = latest.version
