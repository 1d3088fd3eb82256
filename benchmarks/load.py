"""The load generator: a process of its own that keeps N requests in flight on raw sockets.

Reads a plan as JSON from standard input, prints a line when its requests are made, starts at the
next line of input, and prints what it measured as JSON. One ``epoll`` loop without any library:
`python -m benchmarks generator` shows how far it is from being the bottleneck.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import Counter, deque
from typing import Any

import msgspec

from benchmarks import deliveries

READ = 65536
DRAIN_SECONDS = 30.0


class LoadPlan(msgspec.Struct):
    """What to send to ``port``; ``get`` are paths to GET by turns instead of posting deliveries.

    ``rate`` paces the requests (per second, open loop); 0 sends the next as soon as one is
    answered. With a rate, ``burst`` requests are due at the same instant. ``most`` is how many
    requests are made ahead; ``repeat`` sends them over and over. ``settle`` is how long (s) the
    open connections wait before the first request: what it costs the server to accept all of them
    at once is not what is measured.
    """

    port: int
    seconds: float
    connections: int = 64
    dms: int = 1
    accounts: int = 500
    skew: float = 0.0
    entries: int | None = None
    most: int = 20_000
    repeat: bool = False
    rate: float = 0.0
    burst: int = 1
    settle: float = 0.0
    get: list[str] = []
    headers: dict[str, str] = {}


class Measured(msgspec.Struct):
    """What came of it. ``latencies`` in ms; ``cpu`` is the generator's own share of one core."""

    answered: int
    seconds: float
    statuses: dict[str, int]
    latencies: list[float]
    cpu: float
    exhausted: bool


class _Connection:
    __slots__ = ("awaited", "begun", "buffer", "outgoing", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self.buffer = b""
        self.awaited = 0
        self.begun = 0.0
        self.outgoing = b""

    def send(self, request: bytes, due: float) -> bool:
        """Whether all of it went out at once; what is left goes when the socket takes it."""
        self.buffer, self.awaited, self.begun = b"", 0, due
        return self.flush(request)

    def flush(self, rest: bytes) -> bool:
        try:
            sent = self.socket.send(rest)
        except BlockingIOError:
            sent = 0
        self.outgoing = rest[sent:]
        return not self.outgoing

    def receive(self) -> int:
        """The status once the whole answer is there, else 0; -1 when the server hung up."""
        try:
            data = self.socket.recv(READ)
        except BlockingIOError:
            return 0
        except OSError:
            return -1
        if not data:
            return -1
        self.buffer += data
        if not self.awaited:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return 0
            at = self.buffer.lower().find(b"content-length:", 0, end)
            length = int(self.buffer[at + 15 : self.buffer.index(b"\r\n", at)]) if at > 0 else 0
            self.awaited = end + 4 + length
        return int(self.buffer[9:12]) if len(self.buffer) >= self.awaited else 0


class Generator:
    """Sends ``requests`` as the plan says."""

    def __init__(self, plan: LoadPlan, requests: list[bytes]) -> None:
        self._plan = plan
        self._requests = requests
        self._next = 0
        self._poll = select.epoll()
        self._busy: dict[int, _Connection] = {}
        # The longest idle is the next: each stands for a client that comes back in its turn.
        self._idle: deque[_Connection] = deque()
        self._statuses: Counter[str] = Counter()
        self._latencies: list[float] = []
        self._started = 0.0

    def run(self) -> Measured:
        """Send until the time is over, then wait for what is still unanswered."""
        self._idle.extend(self._connect() for _ in range(self._plan.connections))
        time.sleep(self._plan.settle)
        cpu, self._started = time.process_time(), time.perf_counter()
        end = self._started + self._plan.seconds
        while (now := time.perf_counter()) < end and not self._exhausted():
            self._send_due(now)
            self._handle(self._poll.poll(self._pause(now, end)))
        late = time.perf_counter() + DRAIN_SECONDS
        while self._busy and time.perf_counter() < late:
            self._handle(self._poll.poll(0.1))
        finished = time.perf_counter()
        cpu = time.process_time() - cpu
        return Measured(
            answered=self._statuses["200"],
            # A slow server answers hardly any request within the time: the wait for the last
            # answers counts, too.
            seconds=finished - self._started,
            statuses=dict(self._statuses),
            latencies=self._latencies,
            cpu=cpu / (finished - self._started),
            exhausted=self._exhausted(),
        )

    def _exhausted(self) -> bool:
        endless = self._plan.repeat or bool(self._plan.get)
        return not endless and self._next >= len(self._requests)

    def _connect(self) -> _Connection:
        connection = _Connection(self._plan.port)
        self._poll.register(connection.socket, select.EPOLLIN)
        return connection

    def _pause(self, now: float, end: float) -> float:
        if not self._plan.rate:
            return end - now
        due = self._due()
        return max(0.0, min(end, due) - now) if self._idle else end - now

    def _due(self) -> float:
        """When to send the next request at the plan's rate."""
        before = self._next - self._next % self._plan.burst
        return self._started + before / self._plan.rate

    def _send_due(self, now: float) -> None:
        rate = self._plan.rate
        while self._idle and not self._exhausted():
            due = self._due() if rate else now
            if due > now:
                return
            connection = self._idle.popleft()
            self._busy[connection.socket.fileno()] = connection
            request = self._requests[self._next % len(self._requests)]
            self._next += 1
            # At a set rate the clock of a request that had to wait for a connection runs already.
            if not connection.send(request, due if rate else time.perf_counter()):
                self._poll.modify(connection.socket, select.EPOLLIN | select.EPOLLOUT)

    def _handle(self, events: list[tuple[int, int]]) -> None:
        for number, event in events:
            connection = self._busy.get(number)
            if connection is None:
                self._reconnect_idle(number)
                continue
            if connection.outgoing and event & select.EPOLLOUT:
                if connection.flush(connection.outgoing):
                    self._poll.modify(connection.socket, select.EPOLLIN)
                continue
            if status := connection.receive():
                self._finish(connection, status)

    def _finish(self, connection: _Connection, status: int) -> None:
        del self._busy[connection.socket.fileno()]
        self._statuses[str(status)] += 1
        if status < 0:
            connection.socket.close()
            connection = self._connect()
        else:
            self._latencies.append((time.perf_counter() - connection.begun) * 1000)
        self._idle.append(connection)

    def _reconnect_idle(self, number: int) -> None:
        for place, connection in enumerate(self._idle):
            if connection.socket.fileno() == number:
                connection.socket.close()
                self._idle[place] = self._connect()
                return


def _requests(plan: LoadPlan) -> list[bytes]:
    if not plan.get:
        return deliveries.requests(
            plan.most, dms=plan.dms, accounts=plan.accounts, skew=plan.skew, entries=plan.entries
        )
    headers = "".join(f"{name}: {value}\r\n" for name, value in plan.headers.items())
    return [
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\n{headers}\r\n".encode()
        for path in plan.get
    ]


def main() -> None:
    """One run as told on standard input."""
    told: dict[str, Any] = json.loads(sys.stdin.readline())
    plan = msgspec.convert(told, LoadPlan)
    generator = Generator(plan, _requests(plan))
    print("ready", flush=True)
    sys.stdin.readline()
    print(msgspec.json.encode(generator.run()).decode(), flush=True)


if __name__ == "__main__":
    main()
