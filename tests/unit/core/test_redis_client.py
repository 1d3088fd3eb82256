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
            "redis+sentinel://,/m", "redis://a:port/0", "rediss://a?ssl_cert_reqs=sometimes"],
)  # fmt: skip
def test_an_address_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^REDIS_URL: cannot be read") as refused:
        redis_client(url, seconds=1)
    assert url not in str(refused.value)


@pytest.mark.parametrize(
    "option",
    ["family=0", "tls=true", "decode_responses=true", "socket_timeout=0.001", "max_connections=1",
     "protocol=3", "health_check_interval=0", "retry_on_timeout=1", "enableReadyCheck=false",
     "connection_class=x", "ssl_cert_reqs=none", "encoding=latin-1",
     "single_connection_client=1", "timeout=5s", "x"],
)  # fmt: skip
def test_options_for_another_applications_driver_are_left_out(option: str) -> None:
    plain = redis_client("redis://u:p@cache/3", seconds=2).connection_pool
    found = redis_client(f"redis://u:p@cache/3?{option}", seconds=2).connection_pool
    assert type(found) is type(plain)
    assert found.max_connections == plain.max_connections
    assert found.connection_class is plain.connection_class
    wanted = dict(plain.connection_kwargs)
    assert found.connection_kwargs.keys() == wanted.keys()
    for name in ("host", "db", "username", "password", "socket_timeout", "health_check_interval"):
        assert found.connection_kwargs[name] == wanted[name]
    found.make_connection()


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        ("db=2", "db", 2),
        ("ssl_cert_reqs=none", "ssl_cert_reqs", "none"),
        ("ssl_cert_reqs=CERT_NONE", "ssl_cert_reqs", "none"),
        ("ssl_cert_reqs=CERT_REQUIRED", "ssl_cert_reqs", "required"),
        ("ssl_ca_certs=/etc/ca%20b.pem", "ssl_ca_certs", "/etc/ca b.pem"),
        ("ssl_check_hostname=false", "ssl_check_hostname", False),
    ],
)
def test_options_that_name_the_server_or_say_how_to_trust_it_hold(
    option: str, name: str, value: object
) -> None:
    pool = redis_client(f"rediss://cache?{option}&family=4", seconds=2).connection_pool
    assert pool.connection_kwargs[name] == value
    pool.make_connection()


@pytest.mark.parametrize(
    "url", ["redis://:pa#ss@cache:6379/0", "redis://:pa?ss@cache", "redis://u:pa/ss@cache/0"]
)
def test_a_password_that_is_not_encoded_leads_to_no_other_server(url: str) -> None:
    with pytest.raises(ValueError, match="percent-encoded"):
        redis_address(url)
