"""The MongoDB client (one per process) and the translation of its errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pymongo
from bson.errors import BSONError
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import (
    BulkWriteError,
    ClientBulkWriteException,
    ConfigurationError,
    DocumentTooLarge,
    InvalidName,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference, make_read_preference
from pymongo.write_concern import WriteConcern

from dmstats.core.errors import (
    DATABASE_AWAY,
    ConfigError,
    Conflict,
    DmstatsError,
    NotSupported,
    PoisonError,
    Repeated,
    StoreUnavailable,
    TransactionExpired,
    unreadable,
)
from dmstats.core.settings import READ_PREFERENCES, Settings
from dmstats.db.decoding import CODEC

if TYPE_CHECKING:
    from dmstats.db.failures import Failures

Document = dict[str, Any]

APP_NAME = "dmstats"
DEFAULT_DATABASE = "dmstats"
MAX_NAME_BYTES = 63
SERVER_SELECTION_MS = 1_500
CONNECT_MS = 1_000
OPERATION_MS = 10_000
"""Limit for one operation including its retries, unless the caller sets a deadline."""
HEARTBEAT_MS = 1_000
"""How often servers are checked. After a fail-over, writes are refused until the next check: with
the driver's default of 10 s that would be a 10 s outage."""
POOL_SIZE, CONNECTING = 100, 4
"""How many connections a process may have, and open at the same time."""
BULK_WRITE_WIRE_VERSION = 25
"""That of MongoDB 8.0, the first with the command ``bulkWrite``."""
PING_SECONDS, CLOSE_SECONDS = 1.5, 1.0
MAX_STALENESS_SECONDS = 90

DUPLICATE_KEY = 11000
"""Inside a transaction this has no TransientTransactionError label, but the remedy is the same:
retry the whole transaction."""
WRITE_CONFLICT = 112
EXPIRED_CODES = frozenset({251, 290})
"""NoSuchTransaction and TransactionExceededLifetimeLimitSeconds: the server aborted the
transaction, as a rule because it took too long. It can be retried as a whole. mongod 5.0.7 does not
label 290 as transient."""
INTERRUPTED_CODES = frozenset({50, 11601})
"""MaxTimeMSExpired and Interrupted. Inside a transaction they abort it, without a label."""

NOT_SUPPORTED_CODES = frozenset({59, 115})
"""CommandNotFound and CommandNotSupported. MongoDB 8.0 answers ``bulkWrite`` with the latter while
its feature compatibility version is 7.0 (``bulk_write.cpp``)."""

POISON_CODES = frozenset({2, 9, 14, 28, 40, 52, 54, 55, 56, 57, 66, 121, 10334, 17280})
"""Codes by which the server refuses the data itself: BadValue, FailedToParse, TypeMismatch,
PathNotViable, ConflictingUpdateOperators, bad field names, ImmutableField (SecantusDB: an ``_id``
that is NaN), DocumentValidationFailure, BSONObjectTooLarge, KeyTooLong. Any other error may be
temporary, so the event must be retried and never discarded."""


class Mongo:
    """A lazy client and its database; nothing is sent before the first operation.

    ``db`` reads from the primary and writes with majority; ``replica`` is the same database under
    the configured read preference, for reads that may be slightly stale. Both set read preference,
    read concern and write concern themselves, so the options in MONGODB_URI do not apply.
    """

    def __init__(self, client: MongoClient[Document], name: str, read_preference: str) -> None:
        self.client = client
        self.db: Database[Document] = client.get_database(
            name,
            codec_options=CODEC,
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("local"),
            write_concern=WriteConcern("majority"),
        )
        staleness = -1 if read_preference == "primary" else MAX_STALENESS_SECONDS
        self.replica: Database[Document] = client.get_database(
            name,
            codec_options=CODEC,
            read_preference=make_read_preference(
                READ_PREFERENCES.index(read_preference), tag_sets=None, max_staleness=staleness
            ),
            read_concern=ReadConcern("local"),
            write_concern=WriteConcern("majority"),
        )
        self.sharded = False
        """Whether this is a sharded cluster; known once :meth:`transactional` was called."""
        self._transactional = False

    @property
    def has_bulk_write(self) -> bool:
        """Whether no known server lacks the command ``bulkWrite``, which writes to several
        collections. MongoDB 8 refuses it while its feature compatibility version is 7.0."""
        servers = self.client.topology_description.server_descriptions().values()
        return all(
            each.max_wire_version >= BULK_WRITE_WIRE_VERSION
            for each in servers
            if each.is_server_type_known
        )

    def close(self) -> None:
        """Close every connection; waits at most :data:`CLOSE_SECONDS` for a silent server."""
        # The driver first tells the server which sessions have ended. They end by themselves, too.
        with pymongo.timeout(CLOSE_SECONDS):
            self.client.close()

    def ping(self) -> None:
        """Raise :class:`StoreUnavailable` unless a primary answers within :data:`PING_SECONDS`."""
        with translated(), pymongo.timeout(PING_SECONDS):
            self.client.admin.command("ping")

    def server_time(self) -> datetime:
        """The server's time, as an aware datetime in UTC."""
        with translated():
            local: datetime = self.client.admin.command("hello")["localTime"]
        return local if local.tzinfo else local.replace(tzinfo=UTC)

    def transactional(self) -> bool:
        """Whether the deployment supports transactions: a replica set or a sharded cluster.

        Only a positive result is cached, because a standalone server may become a replica set
        while this process runs. Raises :class:`StoreUnavailable` if the replica set is not
        initiated yet.
        """
        if not self._transactional:
            with translated(), pymongo.timeout(PING_SECONDS):
                hello = self.client.admin.command("hello")
            if hello.get("isreplicaset"):
                raise StoreUnavailable("MongoDB's replica set is not initiated: run rs.initiate()")
            self.sharded = hello.get("msg") == "isdbgrid"
            self._transactional = "setName" in hello or self.sharded
        return self._transactional


def connect(
    settings: Settings,
    *,
    uri: str | None = None,
    failures: Failures | None = None,
    unlimited: bool = False,
) -> Mongo:
    """Build the client for ``settings``; ``uri`` overrides the address.

    ``unlimited`` removes the time-outs, for operations such as index builds that may take hours.
    Raises :class:`ConfigError` for an invalid address.
    """
    operation_ms = None if unlimited else OPERATION_MS
    try:
        client: MongoClient[Document] = MongoClient(
            uri or settings.mongodb_uri,
            connect=False,
            appname=APP_NAME,
            serverSelectionTimeoutMS=SERVER_SELECTION_MS,
            connectTimeoutMS=CONNECT_MS,
            # Set explicitly: the options in MONGODB_URI may be meant for another application.
            timeoutMS=operation_ms,
            socketTimeoutMS=operation_ms,
            waitQueueTimeoutMS=operation_ms,
            # A small pool would make deliveries wait for the audit's reads.
            maxPoolSize=POOL_SIZE,
            minPoolSize=0,
            maxConnecting=CONNECTING,
            heartbeatFrequencyMS=HEARTBEAT_MS,
            event_listeners=[failures] if failures else [],
        )
    except (PyMongoError, ValueError, TypeError, KeyError):
        # Without the cause: the driver's message may quote part of the password.
        raise unreadable("MONGODB_URI") from None
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        raise ConfigError(
            f"MONGODB_URI: a file of its TLS options cannot be read: {named}{error.strerror}"
        ) from None
    name = settings.mongodb_db or _uri_database(client) or DEFAULT_DATABASE
    source = "MONGODB_DB" if settings.mongodb_db else "MONGODB_URI"
    try:
        mongo = Mongo(client, name, settings.read_preference)
    except InvalidName as error:
        client.close()
        raise ConfigError(f"{source}: {error}") from None
    if len(name.encode()) > MAX_NAME_BYTES:
        mongo.close()
        raise ConfigError(f"{source}: database names cannot have over {MAX_NAME_BYTES} bytes")
    return mongo


def server_process(uri: str, *, seconds: float) -> int:
    """The process id of the server at ``uri``; raises :class:`StoreUnavailable` if it does not
    answer within ``seconds``."""
    with translated(), MongoClient[Document](uri, timeoutMS=seconds * 1000) as client:
        return int(client.admin.command("serverStatus")["pid"])


def _uri_database(client: MongoClient[Document]) -> str | None:
    try:
        return client.get_default_database().name
    except ConfigurationError:
        return None


def deadline(seconds: float) -> AbstractContextManager[object]:
    """Limit all MongoDB operations within the context to ``seconds`` in total."""
    return pymongo.timeout(seconds)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into :class:`Conflict`, :class:`PoisonError` or
    :class:`StoreUnavailable`; the original stays the cause."""
    try:
        yield
    except (PyMongoError, BSONError, OverflowError, UnicodeError) as error:
        raise translate(error) from error


def translate(error: Exception) -> DmstatsError:
    """Convert a driver error into one of ours.

    The message is safe to show: it contains no data and no address. ``reason`` names the driver's
    error for the log.
    """
    error = _whole(error)
    codes = _codes(error)
    if isinstance(error, PyMongoError):
        if error.has_error_label("UnknownTransactionCommitResult"):
            return StoreUnavailable("MongoDB did not confirm the commit in time")
        if DUPLICATE_KEY in codes:
            return Repeated("MongoDB already has this document")
        if codes & EXPIRED_CODES:
            return TransactionExpired(
                "MongoDB ended the transaction: it took longer than "
                "transactionLifetimeLimitSeconds, or the primary changed",
                reason=_technical(error, codes),
            )
        if error.has_error_label("TransientTransactionError") or WRITE_CONFLICT in codes:
            return Conflict("MongoDB reports a conflict", reason=_technical(error, codes))
    if not isinstance(error, PyMongoError) or isinstance(error, DocumentTooLarge):
        return PoisonError("MongoDB refuses this data", reason=type(error).__name__)
    if codes & NOT_SUPPORTED_CODES or isinstance(error, InvalidOperation):
        return NotSupported(DATABASE_AWAY, reason=_technical(error, codes))
    if codes & POISON_CODES:
        return PoisonError("MongoDB refuses this data", reason=_technical(error, codes))
    return StoreUnavailable(DATABASE_AWAY, reason=_technical(error, codes))


def _technical(error: Exception, codes: frozenset[int]) -> str:
    return f"MongoDB: {type(error).__name__} {sorted(codes) or ''}".strip()


def was_interrupted(error: BaseException | None) -> bool:
    """Whether the driver's ``error`` says that the server interrupted a statement, so that its
    transaction was aborted. An interrupted commit may have succeeded."""
    error = _whole(error) if isinstance(error, Exception) else error
    return (
        isinstance(error, PyMongoError)
        and bool(_codes(error) & INTERRUPTED_CODES)
        and not error.has_error_label("UnknownTransactionCommitResult")
    )


def duplicated_fields(failure: Mapping[str, Any]) -> frozenset[str]:
    """The fields of the unique index that caused a duplicate-key error; empty if unknown.

    ``failure`` is a write error as sent by the server. MongoDB 4.4 and later send ``keyPattern``;
    earlier versions only name the index in the message.
    """
    pattern = failure.get("keyPattern")
    if isinstance(pattern, Mapping):
        return frozenset(pattern)
    named = _INDEX.search(str(failure.get("errmsg", "")))
    return (
        frozenset(re.split(r"_-?1(?:_|$)", named[1])[:-1] or [named[1]]) if named else frozenset()
    )


_INDEX = re.compile(r"index: (?:[\w.]+\.\$)?(\S+?)_? dup key")


def _whole(error: Exception) -> Exception:
    """What made a client bulk write fail as a whole; otherwise ``error``."""
    if isinstance(error, ClientBulkWriteException) and isinstance(error.error, Exception):
        return error.error
    return error


def _codes(error: Exception) -> frozenset[int]:
    if isinstance(error, (BulkWriteError, ClientBulkWriteException)):
        failed = error.details.get("writeErrors", ()) if error.details else ()
        return frozenset(item["code"] for item in failed)
    if isinstance(error, OperationFailure) and error.code is not None:
        return frozenset({error.code})
    return frozenset()
