"""A model of a replica set in memory: as much of pymongo as the commit path uses, and its failures.

Transactions have snapshots, and fail when they meet: at a document that another open one wrote, or
one wrote since the snapshot. A transaction stays open, locks and all, until its session commits,
aborts, starts another or is killed; that its client died changes nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Literal

from gevent import GreenletExit
from pymongo import InsertOne, UpdateOne
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure

Document = dict[str, Any]
Key = tuple[str, Any]
Outcome = Literal["ok", "lost before", "lost after"]
TRANSIENT = "TransientTransactionError"
UNKNOWN = "UnknownTransactionCommitResult"


class Transaction:
    """One open transaction: what it saw at its start, and what it wrote."""

    def __init__(self, number: int, snapshot: dict[Key, Document], moment: int) -> None:
        self.number = number
        self.snapshot = snapshot
        self.moment = moment
        self.written: dict[Key, Document] = {}


class Server:
    """The data, with the moment each document was last changed, and the open transactions."""

    def __init__(self) -> None:
        self.data: dict[Key, Document] = {}
        self.changed: dict[Key, int] = {}
        self.moment = 0
        self.open: dict[bytes, Transaction] = {}
        self.committed: set[tuple[bytes, int]] = set()

    def rows(self, prefix: str) -> dict[Key, Document]:
        """The committed documents of all collections whose names begin with ``prefix``."""
        return {key: found for key, found in self.data.items() if key[0].startswith(prefix)}

    def start(self, session: bytes, number: int) -> None:
        """A first statement: whatever the session had open is aborted."""
        self.open[session] = Transaction(number, dict(self.data), self.moment)

    def kill(self, session: bytes) -> None:
        """Abort what the session has open."""
        self.open.pop(session, None)

    def write(self, session: bytes | None, key: Key, document: Document) -> None:
        """Put ``document`` at ``key``, or fail because another transaction did."""
        mine = self.open[session] if session else None
        held = any(key in other.written for other in self.open.values() if other is not mine)
        if held or (mine and self.changed.get(key, 0) > mine.moment):
            raise _failure(112, TRANSIENT)
        if mine:
            mine.written[key] = document
        else:
            self._put({key: document})

    def commit(self, session: bytes, number: int) -> None:
        """Make it durable; a commit that is asked for again is answered again."""
        if (session, number) in self.committed:
            return
        mine = self.open.get(session)
        if mine is None or mine.number != number:
            raise _failure(251, TRANSIENT)
        self._put(mine.written)
        self.committed.add((session, number))
        del self.open[session]

    def _put(self, documents: Mapping[Key, Document]) -> None:
        self.moment += 1
        self.data.update(documents)
        self.changed.update(dict.fromkeys(documents, self.moment))


def _failure(code: int, *labels: str) -> OperationFailure:
    return OperationFailure("model", code, {"errorLabels": list(labels)})


class Session:
    """What pymongo calls a ``ClientSession``."""

    def __init__(self, client: Client, session_id: bytes) -> None:
        self._client = client
        self.id = session_id
        self.session_id = {"id": session_id}
        self.number = 0
        self.started = False
        self.in_transaction = False

    def start_transaction(self, **_: Any) -> None:
        assert not self.in_transaction
        self.number += 1
        self.in_transaction, self.started = True, False

    def commit_transaction(self) -> None:
        self.in_transaction = False
        server = self._client.server
        self._client.run("commit", lambda: server.commit(self.id, self.number), label=UNKNOWN)

    def abort_transaction(self) -> None:
        self.in_transaction = False
        if self.started:
            server = self._client.server
            self._client.run("abort", lambda: server.kill(self.id), label="")

    def end_session(self) -> None: ...


class Client:
    """One process' client. ``decide(client, command)`` says how each command ends, and may wait.

    Once ``dead``, nothing of it reaches the server any more.
    """

    def __init__(self, server: Server, decide: Callable[[Client, str], Outcome], name: int) -> None:
        self.server = server
        self.session = Session(self, name.to_bytes(16, "big"))
        self.dead = False
        self._decide = decide

    def start_session(self, **_: Any) -> Session:
        return self.session

    def bulk_write(self, writes: Sequence[Any], *, session: Session) -> None:
        """MongoDB 8's command that writes to several collections."""

        def action() -> None:
            for write in writes:
                Collection(self, write._namespace).carry_out(write, session)

        self.statement("bulkWrite", session, action)

    def statement(self, command: str, session: Session, action: Callable[[], Any]) -> Any:
        """Do ``action`` in the session's transaction."""

        def statement() -> Any:
            mine = self.server.open.get(session.id)
            if not session.started:
                self.server.start(session.id, session.number)
            elif mine is None or mine.number != session.number:
                raise _failure(251, TRANSIENT)
            try:
                return action()
            except OperationFailure:
                self.server.kill(session.id)  # a statement that fails ends its transaction
                raise

        try:
            return self.run(command, statement, label=TRANSIENT)
        finally:
            session.started = True

    def run(self, command: str, action: Callable[[], Any], *, label: str) -> Any:
        """Do ``action`` on the server, unless the way there or back is lost."""
        outcome = self._decide(self, command) if not self.dead else "lost before"
        if self.dead:
            raise GreenletExit
        result = None if outcome == "lost before" else action()
        if outcome != "ok":
            lost = AutoReconnect(outcome)
            lost._add_error_label(label)
            raise lost
        return result


class Database:
    """``db`` of a :class:`dmstats.db.client.Mongo`; also plays that part itself."""

    def __init__(self, client: Client, *, has_bulk_write: bool) -> None:
        self.client = client
        self.db = self
        self.sharded = False
        self.has_bulk_write = has_bulk_write

    def __getitem__(self, name: str) -> Collection:
        return Collection(self.client, name)

    def transactional(self) -> bool:
        return True

    def create_collection(self, name: str, **_: Any) -> None: ...


class Collection:
    """The four operations of the commit path, in a transaction or outside."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = self.full_name = name

    def with_options(self, **_: Any) -> Collection:
        return self

    def find(
        self, query: Document, projection: Any = None, *, session: Any = None, batch_size: int = 0
    ) -> Iterator[Document]:
        ((field, wanted),) = query.items()
        values = wanted["$in"] if isinstance(wanted, dict) else [wanted]

        def action() -> list[Document]:
            found = self._visible(session).values()
            return [copy.deepcopy(each) for each in found if each.get(field) in values]

        return iter(self._run("find", session, action))

    def find_one(self, query: Document, *, session: Any = None) -> Document | None:
        return next(self.find(query, session=session), None)

    def insert_many(self, documents: Sequence[Document], *, session: Any) -> None:
        def action() -> None:
            for document in documents:
                self._insert(session, document)

        self._run("insert", session, action)

    def update_one(
        self, query: Document, update: Any, *, upsert: bool = False, session: Any = None
    ) -> None:
        self.bulk_write([UpdateOne(query, update, upsert=upsert)], session=session)

    def bulk_write(
        self, writes: Sequence[Any], *, session: Any, ordered: bool = True
    ) -> SimpleNamespace:
        def action() -> SimpleNamespace:
            matched = [self.carry_out(write, session) for write in writes]
            return SimpleNamespace(matched_count=sum(matched))

        result: SimpleNamespace = self._run("update", session, action)
        return result

    def carry_out(self, write: Any, session: Any) -> bool:
        """Whether a document matched."""
        if isinstance(write, InsertOne):
            self._insert(session, write._doc)
            return False
        return self._update(session, write._filter, write._doc, upsert=bool(write._upsert))

    def _insert(self, session: Any, document: Document) -> None:
        if document["_id"] in self._visible(session):
            raise BulkWriteError({"writeErrors": [{"code": 11000}]})
        self._write(session, document)

    def _update(self, session: Any, query: Document, update: Document, *, upsert: bool) -> bool:
        """Whether a document matched."""
        matches = [
            found
            for found in self._visible(session).values()
            if all(found.get(field) == value for field, value in query.items())
        ]
        if not matches and not upsert:
            return False
        new = copy.deepcopy(matches[0]) if matches else {}
        if not matches:
            new = {"_id": query.get("instagramId")} | query | update.get("$setOnInsert", {})
        for path, amount in update.get("$inc", {}).items():
            *parents, field = path.split(".")
            place = new
            for parent in parents:
                place = place.setdefault(parent, {})
            place[field] = place.get(field, 0) + amount
        for field, value in update.get("$max", {}).items():
            new[field] = max(new.get(field, value), value)
        new |= update.get("$set", {})
        self._write(session, new)
        return bool(matches)

    def _visible(self, session: Any) -> dict[Any, Document]:
        server = self._client.server
        mine = server.open.get(session.id) if session else None
        documents = server.data if mine is None else mine.snapshot | mine.written
        return {key[1]: found for key, found in documents.items() if key[0] == self._name}

    def _write(self, session: Any, document: Document) -> None:
        key = (self._name, document["_id"])
        self._client.server.write(session.id if session else None, key, document)

    def _run(self, command: str, session: Any, action: Callable[[], Any]) -> Any:
        if session is None:
            return self._client.run(command, action, label="")
        return self._client.statement(f"{command} {self._name}", session, action)
