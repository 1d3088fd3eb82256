"""Transactions that share one long-lived session."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

import pymongo
from bson.binary import UUID_SUBTYPE, Binary
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from dmstats.core.errors import Conflict, DmstatsError
from dmstats.db.client import APP_NAME, Document, Mongo, translate, translated, was_interrupted
from dmstats.db.collection_names import STATS_CACHE

log = logging.getLogger(__name__)

COMMIT_TRIES = 3
ABORT_SECONDS = 0.5
KILL_SECONDS = 0.5
ABANDONED_SECONDS = 5.0
"""Longer than any commit may take, including a probe of a slow database (4 s)."""


class Transactions:
    """Runs one transaction after another in a single session.

    The session is kept until :meth:`close`. If a broken connection leaves a transaction open, the
    session's next transaction makes the server abort it. The session's id also lets another
    process release the locks of a dead one (see :mod:`dmstats.commit.orphan_reaper`).
    ``on_retry`` is called when a commit is sent again.
    """

    def __init__(self, mongo: Mongo, on_retry: Callable[[], None] = lambda: None) -> None:
        self._mongo = mongo
        self._on_retry = on_retry
        self._session: ClientSession | None = None
        self._may_be_open = False

    def session_id(self) -> bytes:
        """The session's id on the server: a UUID as 16 bytes."""
        with translated():
            return bytes(self._open().session_id["id"])

    def run(
        self, body: Callable[[ClientSession], None], *, seconds: float, snapshot: bool = False
    ) -> None:
        """Run ``body`` and commit, within ``seconds`` in total.

        With ``snapshot`` all reads are consistent (read concern ``snapshot``), also on a sharded
        cluster.

        Raises :class:`~dmstats.core.errors.Conflict` if the transaction can be retried,
        :class:`~dmstats.core.errors.PoisonError` if the data is refused, and otherwise
        :class:`~dmstats.core.errors.StoreUnavailable`: it may or may not have been committed.
        """
        with translated():
            session = self._open()
            try:
                with pymongo.timeout(seconds):
                    # Explicit, because the client's defaults come from MONGODB_URI: a read
                    # preference other than primary makes every read in a transaction fail.
                    session.start_transaction(
                        read_concern=ReadConcern("snapshot" if snapshot else "local"),
                        write_concern=WriteConcern("majority"),
                        read_preference=ReadPreference.PRIMARY,
                    )
                    body(session)
                    self._commit(session)
            except BaseException as error:
                self._may_be_open = True
                self._abort(session)
                if was_interrupted(error) or was_interrupted(error.__cause__):
                    raise Conflict("MongoDB interrupted the transaction") from error
                raise
            self._may_be_open = False

    def abort_orphaned(self, *, seconds: float) -> bool:
        """Abort what a failed transaction may have left open; whether nothing is open now.

        If neither commit nor abort reached the server, the transaction holds its locks until the
        session's next transaction starts, which is done here, or for a minute.
        """
        if self._may_be_open:
            with contextlib.suppress(DmstatsError):
                self.run(self._read_something, seconds=seconds)
        return not self._may_be_open

    def close(self) -> None:
        """End the session."""
        if self._session is not None:
            with contextlib.suppress(PyMongoError):
                self._session.end_session()
            self._session = None

    def _open(self) -> ClientSession:
        if self._session is None:
            self._session = self._mongo.client.start_session(causal_consistency=False)
        return self._session

    def _commit(self, session: ClientSession) -> None:
        for left in reversed(range(COMMIT_TRIES)):
            try:
                session.commit_transaction()
            except PyMongoError as error:
                # After an unknown result, sending the same commit again is safe.
                if not left or not error.has_error_label("UnknownTransactionCommitResult"):
                    raise
                self._on_retry()
            else:
                return

    @staticmethod
    def _abort(session: ClientSession) -> None:
        if session.in_transaction:
            with contextlib.suppress(PyMongoError), pymongo.timeout(ABORT_SECONDS):
                session.abort_transaction()

    def _read_something(self, session: ClientSession) -> None:
        self._mongo.db[STATS_CACHE].find_one({"_id": "global"}, session=session)


def abandoned_sessions(mongo: Mongo) -> list[bytes]:
    """The ids of dmstats sessions with a transaction that has been open and idle for longer than
    any commit may take; empty if the server cannot list them.

    ``$currentOp`` with ``idleSessions`` (MongoDB 4.2 or newer) needs no privilege for the user's
    own sessions.
    """
    long_ago = {"$gt": round(ABANDONED_SECONDS * 1_000_000)}
    pipeline: list[Document] = [
        {"$currentOp": {"allUsers": False, "idleSessions": True}},
        {
            "$match": {
                "type": "idleSession",
                "appName": APP_NAME,
                "transaction.timeOpenMicros": long_ago,
                "transaction.timeInactiveMicros": long_ago,
            }
        },
    ]
    try:
        with pymongo.timeout(KILL_SECONDS):
            found = list(mongo.client.admin.aggregate(pipeline))
    except OperationFailure as error:
        log.info("open_transactions_not_listed", extra={"code": error.code})
        return []
    except PyMongoError as error:
        raise translate(error) from error
    return [bytes(session["lsid"]["id"]) for session in found if "lsid" in session]


def kill_session(mongo: Mongo, session_id: bytes) -> None:
    """Kill a session on the server; its transaction is aborted and its locks are released."""
    with translated(), pymongo.timeout(KILL_SECONDS):
        mongo.client.admin.command("killSessions", [{"id": Binary(session_id, UUID_SUBTYPE)}])
