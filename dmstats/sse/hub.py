"""One Redis subscription per worker, fanned out to the worker's streams, plus heartbeats."""

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
SESSION_CHECK_SECONDS = 0.5
"""How often it is asked whether sessions have ended: their streams have to end within two seconds,
also where no message from Redis arrives."""


class Hub:
    """Sends every published snapshot to every stream of this worker; one hub per process.

    ``client`` is a dedicated Redis client with a socket time-out of a few seconds. ``latest``
    returns the newest snapshot from any source (it may do IO and raise a :class:`DmstatsError`).
    ``accept`` takes a published snapshot and returns it ready to be sent, or None if it is
    outdated; it raises ``ValueError`` if the message is not a snapshot. ``ended`` returns which of
    the given sessions have ended (it may do IO and raise a :class:`DmstatsError`). ``share``
    returns the parts of a snapshot that a stream may show.
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
        heartbeat_seconds: float = HEARTBEAT_SECONDS,
        ended: Callable[[set[str]], set[str]] = lambda _: set(),
        share: Callable[[Figures, frozenset[str]], Figures] | None = None,
        outage: RedisOutage | None = None,
    ) -> None:
        self._feed = feed_for(transport, client, keys, clock)
        self._latest = latest
        self._accept = accept
        self._clock = clock
        self._metrics = metrics
        self._heartbeat_seconds = heartbeat_seconds
        self._ended = ended
        self._share = share
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
        """Subscribe and start sending heartbeats; needs a running gevent loop."""
        self._stopped = False
        self._greenlets = [
            gevent.spawn(run) for run in (self._listen, self._send_heartbeats, self._end_sessions)
        ]

    def stop(self) -> None:
        """Close every stream cleanly and disconnect from Redis."""
        self._stopped = True
        self._connections.close()
        gevent.killall(self._greenlets)
        self._greenlets = []
        self.connected = False

    def subscribe(self, session: str = "", parts: frozenset[str] | None = None) -> GreenletStream:
        """Open a stream; raises :class:`Unavailable` at the limit or while stopping.

        It is closed when ``session`` ends, unless that is empty. With ``parts`` it has only these
        of each snapshot.
        """
        if self._stopped:
            raise Unavailable("This worker is stopping.", retry_after=FULL_RETRY_SECONDS)
        return self._connections.admit(session, parts)

    def shown(self, figures: Figures, parts: frozenset[str] | None) -> Figures:
        """What a stream with ``parts`` may show of ``figures``: all of them without."""
        if parts is None:
            return figures
        if self._share is None:
            raise Unavailable("This worker shares nothing.", retry_after=FULL_RETRY_SECONDS)
        return self._share(figures, parts)

    def hand_over(
        self, stream: EventBuffer, connection: socket, first: bytes, on_end: Callable[[], None]
    ) -> SocketStream:
        """Continue a stream directly on its socket; see :class:`SocketStream`."""
        socket_stream = SocketStream(self._clock.monotonic, connection, stream, first, on_end)
        self._connections.replace(stream, socket_stream)
        return socket_stream

    def unsubscribe(self, stream: EventBuffer) -> None:
        """Remove a stream that has ended; idempotent."""
        self._connections.forget(stream)

    def heartbeat(self) -> Event:
        """A heartbeat event with the current time."""
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
                    # Reset the back-off only after a message was handled successfully.
                    pause = FIRST_PAUSE
            except redis.RedisError as error:
                self._outage.failed("subscription", error)
            except Exception:
                # Keep subscribing after any error: without the subscription, this worker would
                # show old figures as live until it is restarted.
                logger.exception("hub_failed")
            self._set_connected(connected=False)
            gevent.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, LONGEST_PAUSE)

    def _caught_up(self) -> None:
        """Subscribed: send the newest snapshot, since earlier publishes may have been missed."""
        self._outage.answered()
        try:
            self._send(self._latest())
        except DmstatsError as error:
            logger.warning("snapshot_unavailable", extra={"reason": error.reason})
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
            self._connections.send_each(lambda parts: stats_event(self.shown(figures, parts)))

    def _set_connected(self, *, connected: bool) -> None:
        if connected != self.connected:
            self.connected = connected
            self._metrics.hub_connected(connected)
            # Sent immediately: it makes the page start or stop polling.
            self._connections.send(self.heartbeat())

    def _send_heartbeats(self) -> None:
        while True:
            gevent.sleep(self._heartbeat_seconds)
            try:
                self._update_version()
                self._connections.send(self.heartbeat())
                self._connections.drop_blocked(BLOCKED_HEARTBEATS * self._heartbeat_seconds)
            except Exception:
                # Heartbeats are how dead streams are detected, so this loop must never end.
                logger.exception("heartbeat_failed")

    def _end_sessions(self) -> None:
        while True:
            gevent.sleep(SESSION_CHECK_SECONDS)
            try:
                if sessions := self._connections.sessions():
                    self._connections.end_sessions(self._ended(sessions))
            except DmstatsError:
                pass  # The check failed: an outage must not end streams.
            except Exception:
                logger.exception("session_check_failed")

    def _update_version(self) -> None:
        try:
            latest = self._latest()
        except DmstatsError:
            return
        if latest.order >= self._order:
            self._version = latest.version
