"""Takes out of our own keys in Redis what somebody else, or an older version, has left there.

Redis holds nothing that is not made anew, so what cannot be used is dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.exceptions import ResponseError

logger = logging.getLogger(__name__)

DROP_WITHOUT_EXPIRY = """
if redis.call('pttl', KEYS[1]) == -1 then return redis.call('del', KEYS[1]) end
return 0
"""


@contextmanager
def dropping_wrong_type(client: redis.Redis, key: str) -> Iterator[None]:
    """Where ``key`` is of another type than the commands inside expect, delete it.

    The error goes on: this attempt has failed, the next one finds nothing in its way.
    """
    try:
        yield
    except ResponseError as error:
        if "WRONGTYPE" in str(error):
            client.delete(key)
            _log(key, "wrong type")
        raise


def drop_without_expiry(client: redis.Redis, key: str) -> bool:
    """Delete ``key`` if it never expires: ours all do, so that one would stay for ever."""
    dropped = bool(client.eval(DROP_WITHOUT_EXPIRY, 1, key))
    if dropped:
        _log(key, "no expiry")
    return dropped


def drop_field(client: redis.Redis, key: str, field: str | bytes) -> None:
    """Delete a field of the hash ``key`` whose value cannot be read."""
    client.hdel(key, field)
    _log(key, "unreadable value")


def _log(key: str, reason: str) -> None:
    logger.warning("redis_key_dropped", extra={"key": key, "reason": reason})
