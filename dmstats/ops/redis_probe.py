"""Checks that Redis allows every command that dmstats uses, with our own key names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from dmstats.core.constants import CHANNEL
from dmstats.core.errors import plain_reason
from dmstats.core.keyspace import InstallationUnknown, Keyspace
from dmstats.core.redis_outage import FULL_OF_CLIENTS, refusal
from dmstats.ops.findings import Finding, failed, passed, skipped, warning
from dmstats.snapshot.lease import LEASE_KEY
from dmstats.snapshot.publisher import CACHE_KEY
from dmstats.sse.messages import PROBE

PROBE_KEY = "dmstats:doctor"
PROBE_MS = 10_000
CONFIRM_SECONDS = 2.0
LIST_SCRIPT = """
redis.call('lpush', KEYS[1], ARGV[1])
redis.call('ltrim', KEYS[1], 0, 1)
redis.call('expire', KEYS[1], 10)
return redis.call('lindex', KEYS[1], 0)
"""

GRANT = (
    "Give the user of REDIS_URL these commands, keys and channels: ACL SETUSER NAME "
    "~{installation}:* resetchannels &{installation}:* +@all -@admin -@dangerous"
)
REPLICA = (
    "REDIS_URL leads to a replica: give the master's address, or let Sentinel name it "
    "(redis+sentinel://HOST:26379/MASTER/0)."
)
CLUSTER = (
    "This is a Redis Cluster, which is not supported: give the address of one server, or of "
    "Sentinels."
)
REMEDIES: tuple[tuple[type[RedisError], str], ...] = (
    (NoPermissionError, GRANT),
    (ReadOnlyError, REPLICA),
    (BusyLoadingError, "Redis is loading its data: wait until it has finished."),
    (MovedError, CLUSTER),
    (ClusterDownError, CLUSTER),
    (ClusterCrossSlotError, CLUSTER),
    (AuthenticationError, "The user or password in REDIS_URL is wrong."),
    (OutOfMemoryError, "Redis is full: raise maxmemory, or use a separate Redis for dmstats."),
)
REFUSALS = {
    "MISCONF": "Redis cannot save its data, and takes no writes until it can: its log says why.",
    "NOREPLICAS": "Too few replicas follow this Redis (min-replicas-to-write): it takes no writes.",
    "BUSY": "A script keeps Redis busy: end it with SCRIPT KILL.",
    "unknown command": "This Redis does not have the command (rename-command in its "
    "configuration), which dmstats needs.",
    FULL_OF_CLIENTS: "Redis has as many connections as it allows: raise maxclients.",
}
REFUSED = "Redis answers, but refuses the command: see its log."
UNREACHABLE = (
    "Check that Redis is running and that REDIS_URL is reachable from this machine. Until then "
    "counting continues and dashboards poll."
)


def probe_redis(client: redis.Redis, keys: Keyspace, transport: str) -> Iterator[Finding]:
    """Use Redis as the service does, without changing any of the service's keys."""
    try:
        client.ping()
    except (AuthenticationError, BusyLoadingError):
        pass  # kinds of a connection error that are named below, with their remedies
    except RedisConnectionError as error:
        if refused := refusal(error):
            yield failed("redis", f"PING: {refused}", REFUSALS.get(refused, REFUSED))
            return
        yield failed("redis", f"cannot reach Redis (REDIS_URL): {plain_reason(error)}", UNREACHABLE)
        return
    except RedisError:
        pass  # reported below, with its remedy
    try:
        installation = keys.installation
    except InstallationUnknown:
        yield skipped("redis", "the key prefix is stored in MongoDB, which does not answer")
        return
    for command, attempt in _attempts(client, keys, transport):
        try:
            attempt()
        except RedisError as error:
            refused = refusal(error)
            others = REFUSALS.get(refused, REFUSED if refused else UNREACHABLE)
            remedy = next((text for kind, text in REMEDIES if isinstance(error, kind)), others)
            found = f"{command}: {refused or type(error).__name__}"
            yield failed("redis", found, remedy.format(installation=installation))
            return
    yield passed("redis", f"{_version(client)} allows all commands, under {installation}:*")
    yield _lease(client, keys)


def _attempts(
    client: redis.Redis, keys: Keyspace, transport: str
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The commands in use, cheapest first, each with the name used in findings."""
    key, channel = keys.key(PROBE_KEY), keys.key(CHANNEL)
    fields, entry = f"{key}:hash", f"{key}:stream"
    # "Any" where the library's own types take neither bytes nor text.
    untyped = cast("Any", client)
    yield "GET", partial(client.get, keys.key(CACHE_KEY))
    yield "SET", partial(client.set, key, "1", px=PROBE_MS, nx=True)
    yield "PTTL", partial(client.pttl, key)
    yield "HSET", partial(client.hset, fields, "probe", "1")
    yield "PEXPIRE", partial(client.pexpire, fields, PROBE_MS)
    yield "HGETALL", partial(client.hgetall, fields)
    yield "HGET", partial(client.hget, fields, "probe")
    yield "HDEL", partial(client.hdel, fields, "probe")
    yield "DEL", partial(client.delete, key)
    yield "EVALSHA", partial(client.register_script(LIST_SCRIPT), keys=[f"{key}:list"], args=["1"])
    if transport == "stream":
        yield "XADD", partial(untyped.xadd, entry, {"probe": "1"}, maxlen=1)
        yield "XREVRANGE", partial(client.xrevrange, entry, count=1)
        yield "XREAD", partial(untyped.xread, {entry: "0-0"}, count=1)
        yield "DEL", partial(client.delete, entry)
    else:
        yield f"SUBSCRIBE {channel}", partial(_subscribe, client, channel)
        yield f"PUBLISH {channel}", partial(client.publish, channel, PROBE)


def _subscribe(client: redis.Redis, channel: str) -> None:
    """Subscribe and wait for the confirmation; a refusal arrives instead of it."""
    pubsub = cast("Any", client).pubsub()
    try:
        pubsub.subscribe(channel)
        deadline = time.monotonic() + CONFIRM_SECONDS
        while time.monotonic() < deadline:
            if pubsub.get_message(timeout=CONFIRM_SECONDS):
                return
        raise redis.TimeoutError("no confirmation")
    finally:
        pubsub.close()


def _version(client: redis.Redis) -> str:
    try:
        info: Any = client.info("server")
        return f"version {info['redis_version']}"
    except (RedisError, KeyError):
        return "the server"  # INFO is not required


def _lease(client: redis.Redis, keys: Keyspace) -> Finding:
    left = int(cast("Any", client).pttl(keys.key(LEASE_KEY)))
    if left < 0:
        return warning(
            "lease",
            "no leader holds the lease, so there are no scheduled refreshes",
            "Check that the service is running; with STATS_REFRESHER=off, `dmstats run-refresher` "
            "too.",
        )
    return passed("lease", f"held, for {left / 1000:.0f} s or until it is renewed")
