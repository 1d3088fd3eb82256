"""Explains to the operator why MongoDB is unavailable: which server, which setting, which cause.

Used by commands and at start-up. Error responses of the HTTP API never name a server.
"""

from __future__ import annotations

from pymongo.errors import OperationFailure

from dmstats.core.errors import DmstatsError, plain_reason
from dmstats.db.client import Mongo

SETTING = "MONGODB_URI"
AUTHENTICATION_FAILED = frozenset({18, 8000})
NOT_ALLOWED = frozenset({13})


def explain(error: DmstatsError, mongo: Mongo) -> str:
    """Explain ``error``, raised by an operation on ``mongo``, to the operator.

    For example "cannot reach db1:27017 (MONGODB_URI): connection refused". Never contains a user
    name or a password.
    """
    cause = error.__cause__
    if isinstance(cause, OperationFailure):
        if cause.code in AUTHENTICATION_FAILED:
            return f"MongoDB refuses the user name or the password in {SETTING}"
        if cause.code in NOT_ALLOWED:
            return (
                f"The MongoDB user in {SETTING} does not have the rights for this: "
                f"grant it readWrite on the database {mongo.db.name}"
            )
        return f"MongoDB ({SETTING}) answers with the error {cause.code}: {error.reason}"
    return unreachable(mongo) or str(error)


def unreachable(mongo: Mongo) -> str | None:
    """The servers that could not be reached, and why; None if none failed."""
    servers = mongo.client.topology_description.server_descriptions()
    names = ", ".join(f"{host}:{port}" if port else host for host, port in sorted(servers))
    failed = [(at, one.error) for at, one in sorted(servers.items()) if one.error]
    if len(failed) == len(servers) and failed:
        return f"cannot reach {names} ({SETTING}): {_cause(failed[0][1])}"
    known = any(one.is_server_type_known for one in servers.values())
    if known and not any(one.is_writable for one in servers.values()):
        return f"none of {names} ({SETTING}) is a primary: check the replica set's status"
    return None


def _cause(error: Exception) -> str:
    if isinstance(error, OperationFailure):
        return "it refuses the user name or the password"
    return plain_reason(error)
