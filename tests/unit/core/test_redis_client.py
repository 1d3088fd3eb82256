"""Which addresses of Redis are taken, and what they become."""

from __future__ import annotations

import pytest
import redis
from redis.sentinel import SentinelConnectionPool, SentinelManagedSSLConnection

from dmstats.core.errors import ConfigError
from dmstats.core.redis_client import redis_address, redis_client


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache:6379/0", "rediss://u:p@cache/1", "unix:///run/redis.sock?db=2",
        "redis://u:a,b@cache/0", "redis+sentinel://a:26379,b/mymaster/0",
    ],
)  # fmt: skip
def test_it_works(url: str) -> None:
    assert redis_address(url) == url
    assert isinstance(redis_client(url, seconds=1), redis.Redis)


@pytest.mark.parametrize(
    "url",
    ["redis+cluster://a:7000", "rediss+cluster://a", "redis-cluster://a", "redis://a:1,b:2/0"],
)
def test_a_cluster_is_refused_with_what_is_supported(url: str) -> None:
    with pytest.raises(ValueError, match=r"Cluster.*not supported.*redis\+sentinel://"):
        redis_address(url)


@pytest.mark.parametrize("url", ["http://a", "a:6379", "sentinel://a/b"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="starts with redis://"):
        redis_address(url)


def test_sentinel() -> None:
    client = redis_client(
        "rediss+sentinel://u:p%40ss@[::1],b:1234/my-master/3?sentinel_password=s", seconds=2
    )
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "my-master"
    assert pool.connection_class is SentinelManagedSSLConnection
    wanted = {"username": "u", "password": "p@ss", "db": 3}
    assert {name: pool.connection_kwargs[name] for name in wanted} == wanted
    asked = [node.connection_pool.connection_kwargs for node in pool.sentinel_manager.sentinels]
    assert [(one["host"], one["port"]) for one in asked] == [("::1", 26379), ("b", 1234)]
    assert asked[0]["password"] == "s"


@pytest.mark.parametrize(
    "url", ["redis+sentinel://a", "redis+sentinel://a/m/x", "redis+sentinel://a:b:c/m",
            "redis+sentinel://,/m", "redis://a:port/0"],
)  # fmt: skip
def test_an_address_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^REDIS_URL: cannot be read") as refused:
        redis_client(url, seconds=1)
    assert url not in str(refused.value)
