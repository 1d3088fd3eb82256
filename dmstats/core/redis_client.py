"""Creates the Redis client for a server, a Unix socket, or a master that Sentinel names."""

from __future__ import annotations

import re
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ReadOnlyError, RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from dmstats.core.errors import unreadable

CONNECT_SECONDS = 0.5
SENTINEL_PORT = 26379
PLAIN = ("redis://", "rediss://", "unix://")
SENTINEL = ("redis+sentinel://", "rediss+sentinel://")
SUPPORTED = (
    "redis://, rediss:// or unix:// for one server, or "
    "redis+sentinel://HOST:26379,HOST:26379/MASTER/0"
)
OPTIONS = frozenset({"db", "username", "password"})
TLS_OPTIONS = frozenset(
    {"ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data", "ssl_certfile", "ssl_keyfile",
     "ssl_password", "ssl_check_hostname"}
)  # fmt: skip
"""The options of an address that say which server it is and how to trust it. Others are left out:
they may be meant for another application's driver, which has other ones."""
NODE = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<name>[^:\[\],/@\s]+))(?::(?P<port>\d{1,5}))?"
)


def redis_address(value: str) -> str:
    """Check an address; ``ValueError`` lists the supported kinds."""
    if "cluster" in value.partition("://")[0].lower():
        raise ValueError(f"not that of a Redis Cluster, which is not supported: {SUPPORTED}")
    if not value.startswith(PLAIN + SENTINEL):
        raise ValueError(f"an address that starts with {SUPPORTED}")
    parts = urlsplit(value)
    if parts.fragment or "@" in parts.path + parts.query:
        raise ValueError("an address with its user name and password percent-encoded")
    if value.startswith(PLAIN[:2]) and "," in urlsplit(value).netloc.rpartition("@")[2]:
        raise ValueError(f"of one server (a Redis Cluster is not supported): {SUPPORTED}")
    return value


class FailoverRedis(redis.Redis):
    """Detects that the server has become a replica, also from a script's error, and then drops all
    pooled connections to it."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        try:
            return super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        except ResponseError as error:
            if "READONLY" not in str(error) and not isinstance(error, ReadOnlyError):
                raise
            self.connection_pool.disconnect(inuse_connections=False)
            raise ReadOnlyError(str(error)) from error


def redis_client(url: str, *, seconds: float) -> redis.Redis:
    """A client whose commands time out after ``seconds``, with one retry.

    The retry uses a new connection, also after a read-only error: after a fail-over, the address
    (or Sentinel) leads to the new master, while open connections still lead to the old one.
    Raises :class:`~dmstats.core.errors.ConfigError` for an invalid address.
    """
    options: dict[str, Any] = {
        "retry": Retry(ExponentialBackoff(cap=0.2), 1),
        "retry_on_error": [ReadOnlyError],
        "socket_timeout": seconds,
        "socket_connect_timeout": CONNECT_SECONDS,
        "health_check_interval": 15,
    }
    try:
        if url.startswith(SENTINEL):
            return _by_sentinel(url, options)
        client = FailoverRedis.from_url(_plain(url), **options)
        # Without a connection: it reads the values of the options.
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    except (ValueError, RedisError):
        raise unreadable("REDIS_URL") from None  # the cause may contain the password
    return client


def _plain(url: str) -> str:
    """``url`` with our options only. Celery's ``CERT_NONE`` is the driver's ``none``."""
    place, mark, query = url.partition("?")
    known = OPTIONS | TLS_OPTIONS if url.startswith("rediss") else OPTIONS
    own = {name: values[-1] for name, values in parse_qs(query).items() if name in known}
    if "ssl_cert_reqs" in own:
        own["ssl_cert_reqs"] = own["ssl_cert_reqs"].lower().removeprefix("cert_")
    return place + mark + urlencode(own)


def _by_sentinel(url: str, options: dict[str, Any]) -> redis.Redis:
    """``redis+sentinel://[user:password@]host[:26379],.../master[/0]``. User and password are for
    the master; those for the Sentinels are ``?sentinel_username=`` and ``?sentinel_password=``."""
    secure = url.startswith("rediss")
    parts = urlsplit(url)
    login, _, places = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    service, _, number = parts.path.strip("/").partition("/")
    if not service or not (number or "0").isdecimal():
        raise ValueError("the master's name or the database number is missing")
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    common: dict[str, Any] = {"ssl": True} if secure else {}
    sentinel: Any = cast("Any", Sentinel)(  # the library leaves it untyped
        [_node(place) for place in places.split(",")],
        sentinel_kwargs={
            "username": asked.get("sentinel_username"),
            "password": asked.get("sentinel_password"),
            "socket_timeout": options["socket_timeout"],
            "socket_connect_timeout": CONNECT_SECONDS,
            **common,
        },
    )
    master: redis.Redis = sentinel.master_for(
        unquote(service),
        redis_class=FailoverRedis,
        username=unquote(user) or None,
        password=unquote(password) or None,
        db=int(number or 0),
        **common,
        **options,
    )
    return master


def _node(place: str) -> tuple[str, int]:
    match = NODE.fullmatch(place.strip())
    if match is None:
        raise ValueError("no host")
    return match["v6"] or match["name"], int(match["port"] or SENTINEL_PORT)
