"""A replica set of one member behind a socket, which answers as a test wants.

It speaks MongoDB's wire protocol, so the driver's own labels, retries and server selection take
part. It holds what the commit path writes: transactions, ledger rows and counters.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import bson
import msgspec

Document = dict[str, Any]

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
NO_SUCH_TRANSACTION, DUPLICATE_KEY, NOT_PRIMARY = 251, 11000, 10107
TRANSIENT = "TransientTransactionError"
BACKLOG = "dmstats_account_backlog"
COUNTERS = {
    "stats_cache": "dmsSent",
    "dmstats_hours": "sent",
    "dmstats_days": "sent",
    "instagram_accounts": "dmUsed",
    BACKLOG: "sent",
}
"""The field of each collection that counts sent DMs."""


BULK = "bulk"
"""A bulkWrite of MongoDB 8, in place of the steps from the totals on."""
SETTLE = "settle"
"""All steps of the empty transaction that ends what a failed one may have left open."""


class Answer(msgspec.Struct, frozen=True):
    """How the server answers one command.

    ``reply`` is sent instead of success. ``applied``: the command takes effect all the same.
    ``lost``: the connection is closed instead of any reply. ``before`` is called first. ``delay``
    is in seconds. ``steps_down`` is how long (s) the member then says that it is a secondary.
    """

    reply: Document | None = None
    applied: bool = False
    lost: bool = False
    before: Callable[[WireServer], None] | None = None
    delay: float = 0.0
    steps_down: float = 0.0


def error(code: int, *labels: str, **more: Any) -> Document:
    """A command that failed."""
    failed = {"ok": 0, "code": code, "codeName": f"Code{code}", "errmsg": f"error {code}"}
    return failed | ({"errorLabels": list(labels)} if labels else {}) | more


def write_error(code: int, *labels: str, **more: Any) -> Document:
    """A command that was carried out, but whose first write failed."""
    failed = {"index": 0, "code": code, "errmsg": f"error {code}", **more}
    reply: Document = {"ok": 1, "n": 0, "nModified": 0, "writeErrors": [failed]}
    return reply | ({"errorLabels": list(labels)} if labels else {})


def bulk_error(code: int, index: int, **more: Any) -> Document:
    """A bulkWrite that was carried out, but whose write ``index`` failed."""
    failed = {"ok": 0, "idx": index, "code": code, "errmsg": f"error {code}", "n": 0, **more}
    return _bulk_reply(failed)


def _bulk_reply(*failed: Document) -> Document:
    return {
        "ok": 1, "nErrors": len(failed), "nInserted": 0, "nMatched": 0, "nModified": 0,
        "nUpserted": 0, "nDeleted": 0,
        "cursor": {"id": 0, "ns": "admin.$cmd.bulkWrite", "firstBatch": [*failed]},
    }  # fmt: skip


def concern_error(code: int, *labels: str, **info: Any) -> Document:
    """A command that was carried out, but not confirmed as the write concern demands."""
    failed: Document = {"code": code, "codeName": f"Code{code}", "errmsg": f"error {code}"}
    failed |= {"errInfo": info} if info else {}
    reply: Document = {"ok": 1, "writeConcernError": failed}
    return reply | ({"errorLabels": list(labels)} if labels else {})


class _Transaction:
    def __init__(self, number: int) -> None:
        self.number = number
        self.rows: set[bytes] = set()
        self.sums: Counter[str] = Counter()


class WireServer:
    """The server.

    ``answers`` has, by step (see :func:`step_of`), the next answers that are not plain success, and
    ``always`` the answer to a step without one there. ``duplicate`` answers an insert of a row that
    exists. ``commands`` lists the steps in their order, ``looked_up`` the number of ids of each
    look-up. ``begun`` is the number of transactions. ``silent``: only monitoring is
    answered. ``wire_version`` tells the driver what the server can do.
    """

    def __init__(self, wire_version: int) -> None:
        self.wire_version = wire_version
        self.rows: set[bytes] = set()
        self.sums: Counter[str] = Counter()
        self.answers: defaultdict[str, list[Answer]] = defaultdict(list)
        self.always: dict[str, Answer] = {}
        self.silent = False
        self._closed = threading.Event()
        self.duplicate = write_error(DUPLICATE_KEY, keyPattern={"_id": 1})
        self.commands: list[str] = []
        self.looked_up: list[int] = []
        self.begun = 0
        self._transactions: dict[bytes, _Transaction] = {}
        self._committed: set[tuple[bytes, int]] = set()
        self._settling: set[tuple[bytes, int]] = set()
        self._secondary_until = 0.0
        self._mutex = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def open_transactions(self) -> int:
        """The transactions that hold locks."""
        return len(self._transactions)

    def steps(self, name: str) -> int:
        """How often the step arrived."""
        return self.commands.count(name)

    def count(self, row_id: bytes) -> None:
        """Another process counted this row."""
        self.rows.add(row_id)
        self.sums.update(COUNTERS.keys() - {BACKLOG})

    def close(self) -> None:
        """Close every connection, and wait for the threads."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.add(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, EOFError):
            while True:
                request, operation, command = _receive(connection)
                reply = self._answer(command)
                if reply is None:
                    break
                connection.sendall(_packed(request, operation, reply))
        self._connections.discard(connection)

    def _answer(self, command: Document) -> Document | None:
        name = next(iter(command))
        if name in ("hello", "ismaster", "isMaster"):
            return self._hello()
        if self.silent:
            return None if self._closed.wait(60) else {"ok": 1}
        if name in ("ping", "endSessions", "killSessions", "aggregate"):
            return {"ok": 1, "cursor": {"id": 0, "ns": "admin.$cmd", "firstBatch": []}}
        with self._mutex:
            step = self._step(command)
            self.commands.append(step)
            self.begun += bool(command.get("startTransaction")) and step != SETTLE
            planned = self.answers[step]
            answer = planned.pop(0) if planned else self.always.get(step, Answer())
        time.sleep(answer.delay)
        with self._mutex:
            return self._carry_out(name, step, command, answer)

    def _step(self, command: Document) -> str:
        step, transaction = step_of(command), (_session_of(command), command.get("txnNumber", 0))
        if step == SETTLE:
            self._settling.add(transaction)
        return SETTLE if transaction in self._settling else step

    def _carry_out(
        self, name: str, step: str, command: Document, answer: Answer
    ) -> Document | None:
        if answer.before:
            answer.before(self)
        if answer.steps_down:
            self._secondary_until = time.monotonic() + answer.steps_down
        failed = answer.reply is not None or answer.lost
        reply: Document = {"ok": 1}
        if not failed or answer.applied:
            reply = self._done(name, command)
        elif name != "commitTransaction" and not answer.lost:
            # The server aborts a transaction at the first error.
            self._transactions.pop(_session_of(command), None)
        if answer.lost:
            return None
        return answer.reply or reply

    def _hello(self) -> Document:
        primary = time.monotonic() >= self._secondary_until
        return {
            "ok": 1, "helloOk": True, "ismaster": primary, "isWritablePrimary": primary,
            "secondary": not primary, "setName": "rs", "setVersion": 1, "hosts": [self.address],
            "me": self.address, "minWireVersion": 0, "maxWireVersion": self.wire_version,
            "maxBsonObjectSize": 16 * 2**20, "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000, "logicalSessionTimeoutMinutes": 30,
            "localTime": datetime.now(UTC),
        }  # fmt: skip

    def _done(self, name: str, command: Document) -> Document:
        session = _session_of(command)
        if command.get("autocommit") is False:
            number = command["txnNumber"]
            if command.get("startTransaction"):
                self._transactions[session] = _Transaction(number)
            found = self._transactions.get(session)
            if found is None or found.number != number:
                repeated = name == "commitTransaction" and (session, number) in self._committed
                return {"ok": 1} if repeated else error(NO_SUCH_TRANSACTION, TRANSIENT)
            if name in ("commitTransaction", "abortTransaction"):
                del self._transactions[session]
                if name == "commitTransaction":
                    self._committed.add((session, number))
                    self.rows |= found.rows
                    self.sums += found.sums
                return {"ok": 1}
            return self._statement(name, command, found)
        return self._statement(name, command, _Transaction(0))

    def _bulk_write(self, command: Document, own: _Transaction) -> Document:
        for index, each in enumerate(_parts(command)):
            reply = self._statement(next(iter(each)), each, own)
            if failed := reply.get("writeErrors"):
                return bulk_error(failed[0]["code"], index)
            if not reply["ok"]:
                return reply
        return _bulk_reply()

    def _statement(self, name: str, command: Document, own: _Transaction) -> Document:
        if name == "bulkWrite":
            return self._bulk_write(command, own)
        if name == "find":
            wanted = command.get("filter", {}).get("_id")
            ids = set(wanted["$in"]) if isinstance(wanted, dict) else set()
            self.looked_up += [len(ids)] if ids else []
            found = [{"_id": row_id} for row_id in sorted(ids & self.rows)]
            return {"ok": 1, "cursor": {"id": 0, "ns": "test.x", "firstBatch": found}}
        if name == "insert" and command["insert"] == BACKLOG:
            own.sums[BACKLOG] += sum(each[COUNTERS[BACKLOG]] for each in command["documents"])
            return {"ok": 1, "n": len(command["documents"])}
        if name == "insert":
            ids = {document["_id"] for document in command["documents"]}
            if ids & self.rows:
                return self.duplicate
            own.rows |= ids
            return {"ok": 1, "n": len(ids)}
        if name == "update":
            collection, updates = command["update"], command["updates"]
            for update in updates:
                field = COUNTERS[collection]
                own.sums[collection] += _increment(update["u"], field)
            return {"ok": 1, "n": len(updates), "nModified": len(updates)}
        return {"ok": 1}


def step_of(command: Mapping[str, Any]) -> str:
    """The step of the commit path that sends ``command``."""
    name, target = next(iter(command.items()))
    if name == "bulkWrite":
        return BULK
    if name in ("commitTransaction", "abortTransaction", "create"):
        return str(name).removesuffix("Transaction")
    if str(target).startswith("dmstats_ledger_"):
        return {"find": "look up", "insert": "ledger"}[name]
    steps = {
        ("find", "stats_cache"): SETTLE,
        ("update", "stats_cache"): "totals",
        ("find", "instagram_accounts"): "read accounts",
        ("update", "instagram_accounts"): "accounts",
        ("update", BACKLOG): "backlog",
        ("insert", BACKLOG): "backlog",
        ("update", "dmstats_hours"): "hours",
        ("update", "dmstats_days"): "days",
    }
    return steps[(name, target)]


def _parts(command: Document) -> Iterator[Document]:
    """The commands that a bulkWrite stands for, one per write."""
    for op in command["ops"]:
        name, namespace = next(iter(op.items()))
        target = command["nsInfo"][namespace]["ns"].partition(".")[2]
        if name == "insert":
            yield {name: target, "documents": [op["document"]]}
        else:
            yield {name: target, "updates": [{"u": op["updateMods"]}]}


@contextlib.contextmanager
def wire_server(wire_version: int = 21) -> Iterator[WireServer]:
    """A server that is closed at the end; the wire version is that of MongoDB 7.0, if not given."""
    server = WireServer(wire_version)
    try:
        yield server
    finally:
        server.close()


def _session_of(command: Document) -> bytes:
    return bytes(command.get("lsid", {}).get("id", b""))


def _increment(update: object, field: str) -> int:
    return int(update.get("$inc", {}).get(field, 0)) if isinstance(update, dict) else 0


def _receive(connection: socket.socket) -> tuple[int, int, Document]:
    length, request, _, operation = struct.unpack("<iiii", _exactly(connection, 16))
    payload = _exactly(connection, length - 16)
    if operation == OP_QUERY:
        name = payload.index(b"\0", 4) + 1
        return request, operation, bson.decode(payload[name + 8 :])
    return request, operation, _message(payload)


def _message(payload: bytes) -> Document:
    """An OP_MSG's command, with its sequences of documents in their places."""
    command: Document = {}
    at = 4
    while at < len(payload):
        kind, at = payload[at], at + 1
        (size,) = struct.unpack_from("<i", payload, at)
        section = payload[at : at + size]
        if kind == 0:
            command = bson.decode(section) | command
        else:
            name, _, documents = section[4:].partition(b"\0")
            command[name.decode()] = bson.decode_all(documents)
        at += size
    # The command's name comes first, also where a sequence came before the body.
    return command


def _packed(request: int, operation: int, reply: Document) -> bytes:
    body = bson.encode(reply)
    if operation == OP_QUERY:
        payload, kind = struct.pack("<iqii", 8, 0, 0, 1) + body, OP_REPLY
    else:
        payload, kind = struct.pack("<I", 0) + b"\0" + body, OP_MSG
    return struct.pack("<iiii", 16 + len(payload), 1, request, kind) + payload


def _exactly(connection: socket.socket, size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        piece = connection.recv(size - len(pieces))
        if not piece:
            raise EOFError
        pieces += piece
    return bytes(pieces)
