"""Deletes unusable values under our own Redis keys, written by other programs or older versions.

Everything we keep in Redis can be rebuilt, so deleting it is safe.
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
    """Delete ``key`` if its type is not what the commands in the context expect.

    The error is raised again: this attempt fails, and the next one can succeed.
    """
    try:
        yield
    except ResponseError as error:
        if "WRONGTYPE" in str(error):
            client.delete(key)
            _log(key, "wrong type")
        raise


def drop_without_expiry(client: redis.Redis, key: str) -> bool:
    """Delete ``key`` if it has no expiry: all our keys have one, so this would stay for ever."""
    dropped = bool(client.eval(DROP_WITHOUT_EXPIRY, 1, key))
    if dropped:
        _log(key, "no expiry")
    return dropped


def drop_field(client: redis.Redis, key: str, field: str | bytes) -> None:
    """Delete a field with an unreadable value from the hash ``key``."""
    client.hdel(key, field)
    _log(key, "unreadable value")


def _log(key: str, reason: str) -> None:
    logger.warning("redis_key_dropped", extra={"key": key, "reason": reason})
