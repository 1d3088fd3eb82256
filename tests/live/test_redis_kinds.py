"""The supported ways to Redis, fail-overs, and what doctor says of a Redis that refuses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from dmstats.core.clock import SystemClock
from dmstats.core.redis_client import redis_client
from dmstats.ops.findings import Finding, Verdict
from dmstats.ops.redis_probe import GRANT, probe_redis
from dmstats.snapshot.lease import Lease
from dmstats.snapshot.publisher import Publisher
from dmstats.sse.subscription import PubSubFeed
from tests.keyspace import CHANNEL, INSTALLATION, KEYS, LEASE_KEY
from tests.recorder import Recorder
from tests.servers import Redis, running, wait_until

pytestmark = pytest.mark.live

GRANTED = GRANT.format(installation=INSTALLATION).partition("NAME ")[2]
"""What doctor says to give must do."""


class UnixRedis(Redis):
    @property
    def url(self) -> str:
        return f"unix://{self.folder}/redis.sock?db=1"

    def command(self) -> list[str]:
        return [*super().command(), "--unixsocket", f"{self.folder}/redis.sock"]


class ClusterNode(Redis):
    def command(self) -> list[str]:
        return [*super().command(), "--cluster-enabled", "yes"]


class WithoutHset(Redis):
    def command(self) -> list[str]:
        return [*super().command(), "--rename-command", "HSET", "hidden"]


class Sentinel(Redis):
    """Watches ``master``; fails over within a few seconds."""

    def __init__(self, folder: Path, master: Redis) -> None:
        super().__init__(folder)
        self.config = folder / "sentinel.conf"
        self.config.write_text(
            f"bind 127.0.0.1\nport {self.port}\n"
            f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
        )

    def command(self) -> list[str]:
        return [super().command()[0], str(self.config), "--sentinel"]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Redis, Redis]]:
    """A master and its replica."""
    with running(Redis(tmp_path / "a")) as one, running(Redis(tmp_path / "b")) as other:
        with redis.Redis.from_url(other.url) as client:
            client.replicaof("127.0.0.1", str(one.port))
            wait_until(lambda: client.info("replication")["master_link_status"] == "up")
        yield one, other


def leads(client: redis.Redis) -> Lease:
    lease = Lease(client, KEYS, SystemClock(), lambda: 0, Recorder(), renew_every=0.0)
    assert lease.tick()
    return lease


def test_a_unix_socket(tmp_path: Path) -> None:
    with running(UnixRedis(tmp_path)) as server:
        client = redis_client(server.url, seconds=1)
        leads(client)
        assert found(client).verdict is Verdict.OK
        assert next(iter(PubSubFeed(client, KEYS, SystemClock()).listen())) is None


def test_sentinel_names_the_master_and_the_next_one(
    tmp_path: Path, pair: tuple[Redis, Redis]
) -> None:
    one, other = pair
    with running(Sentinel(tmp_path / "s", one)) as sentinel:
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main/0"
        client = redis_client(url, seconds=1)
        leads(client).release()
        assert found(client).verdict is Verdict.OK

        def knows_the_replica() -> bool:
            with redis.Redis(port=sentinel.port) as asked:
                return len(asked.sentinel_slaves("main")) == 1

        wait_until(knows_the_replica)
        one.kill()

        def writes() -> bool:
            with contextlib.suppress(redis.RedisError):
                return bool(client.set("x", "1"))
            return False

        wait_until(writes)
        lease = leads(client)
        with redis.Redis.from_url(other.url) as direct:
            assert direct.pttl(LEASE_KEY) > 0
        lease.release()


def test_a_demoted_server_is_left_for_the_new_master(pair: tuple[Redis, Redis]) -> None:
    """Behind one address, as a proxy's or a name's: the open connections stay at the old one."""
    one, other = pair
    client = redis_client(one.url, seconds=1)
    lease = leads(client)
    with redis.Redis.from_url(one.url) as old, redis.Redis.from_url(other.url) as new:
        new.replicaof("NO", "ONE")
        old.replicaof("127.0.0.1", str(other.port))
        # From here on new connections lead to the new master.
        client.connection_pool.connection_kwargs["port"] = other.port
        for connection in client.connection_pool._available_connections:
            connection.port = other.port
        wait_until(lease.tick)
        assert new.pttl(LEASE_KEY) > 0
        publisher = Publisher(client, KEYS, print, Recorder(), cache_ttl=60, min_interval=10)
        assert publisher.cache({"version": "1-1"})
        assert found(client).verdict is Verdict.OK


def found(client: redis.Redis, transport: str = "pubsub") -> Finding:
    return next(finding for finding in probe_redis(client, KEYS, transport))


class TestDoctor:
    @pytest.mark.parametrize("transport", ["pubsub", "stream"])
    def test_it_works_and_leaves_nothing(self, redis_client: redis.Redis, transport: str) -> None:
        first, lease = probe_redis(redis_client, KEYS, transport)
        assert first.verdict is Verdict.OK
        assert INSTALLATION in first.found
        assert lease.verdict is Verdict.WARNING
        assert all(0 < redis_client.pttl(key) <= 10_000 for key in redis_client.scan_iter())

    @pytest.mark.parametrize(
        ("rules", "said"),
        [
            (["~*", "resetchannels", "+@all"], f"SUBSCRIBE {CHANNEL}: NoPermissionError"),
            (["~*", "&*", "+@all", "-publish"], f"PUBLISH {CHANNEL}: NoPermissionError"),
            (["~other:*", "&*", "+@all"], "GET: NoPermissionError"),
            (["~*", "&*", "+@all", "-hset"], "HSET: NoPermissionError"),
            (["~*", "&*", "+@all", "-evalsha"], "EVALSHA: NoPermissionError"),
            (GRANTED.split(), ""),
        ],
    )
    def test_what_a_user_may_not_do_is_named(
        self, redis_url: str, redis_client: redis.Redis, rules: list[str], said: str
    ) -> None:
        cast("Any", redis_client).execute_command(
            "ACL", "SETUSER", "dm", "reset", "on", ">pw", *rules
        )
        try:
            finding = found(redis.Redis.from_url(redis_url.replace("//", "//dm:pw@")))
        finally:
            cast("Any", redis_client).execute_command("ACL", "DELUSER", "dm")
        if not said:
            assert finding.verdict is Verdict.OK
            return
        assert (finding.verdict, finding.found) == (Verdict.FAILURE, said)
        assert f"~{INSTALLATION}:*" in finding.remedy

    def test_a_replica_is_named(self, pair: tuple[Redis, Redis]) -> None:
        finding = found(redis.Redis.from_url(pair[1].url))
        assert finding.found == "SET: ReadOnlyError"
        assert "replica" in finding.remedy

    def test_a_full_server_is_named(self, redis_server: Redis) -> None:
        with redis.Redis.from_url(redis_server.url) as client:
            client.config_set("maxmemory", "1")
            finding = found(client)
        assert finding.found == "SET: OutOfMemoryError"
        assert "maxmemory" in finding.remedy

    @pytest.mark.parametrize(
        ("setting", "value", "said", "remedy"),
        [
            ("min-replicas-to-write", "3", "SET: NOREPLICAS", "min-replicas-to-write"),
            ("maxclients", "1", "PING: max number of clients reached", "maxclients"),
        ],
    )
    def test_a_server_that_refuses_is_named(
        self, redis_server: Redis, setting: str, value: str, said: str, remedy: str
    ) -> None:
        with redis.Redis.from_url(redis_server.url) as admin:
            admin.config_set(setting, value)
            finding = found(redis_client(redis_server.url, seconds=1))
        assert (finding.verdict, finding.found) == (Verdict.FAILURE, said)
        assert remedy in finding.remedy

    def test_a_server_that_cannot_save_is_named(self, redis_server: Redis) -> None:
        with redis.Redis.from_url(redis_server.url) as client:
            client.config_set("save", "1 1")
            client.config_set("dir", "/proc")
            client.set("x", "1")
            client.bgsave()
            wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
            finding = found(client)
            client.config_set("save", "")
        assert finding.found == "SET: MISCONF"
        assert "cannot save" in finding.remedy

    def test_a_command_of_another_name_is_named(self, tmp_path: Path) -> None:
        with running(WithoutHset(tmp_path)) as server:
            finding = found(redis.Redis.from_url(server.url))
        assert finding.found == "HSET: unknown command"
        assert "rename-command" in finding.remedy

    def test_a_cluster_is_named(self, tmp_path: Path) -> None:
        with running(ClusterNode(tmp_path)) as node:
            finding = found(redis.Redis.from_url(node.url))
        assert (finding.verdict, "not supported" in finding.remedy) == (Verdict.FAILURE, True)

    def test_a_wrong_password_is_named(self, redis_url: str) -> None:
        finding = found(redis.Redis.from_url(redis_url.replace("//", "//stranger:pw@")))
        assert "AuthenticationError" in finding.found
