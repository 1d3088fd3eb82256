"""Causes in plain words, without exception names, addresses or passwords."""

from __future__ import annotations

import logging
import ssl

import pytest
import redis
import urllib3

from dmstats.core.errors import DATABASE_AWAY, ConfigError, DmstatsError, plain_reason
from dmstats.core.redis_outage import RedisOutage, refusal
from dmstats.core.settings import Settings
from dmstats.db.client import connect
from dmstats.db.outage import explain


def raised_from(cause: BaseException, message: str = "outer") -> RuntimeError:
    error = RuntimeError(message)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (raised_from(ConnectionRefusedError(111, "Connection refused")), "connection refused"),
        (RuntimeError("db:1: [Errno 113] No route to host (configured ...)"), "no route to host"),
        (TimeoutError(), "timed out"),
        (RuntimeError("db:1: timed out"), "timed out"),
        (ssl.SSLError("x"), "the TLS handshake failed"),
        (RuntimeError("secret@db"), "it does not answer"),
    ],
)
def test_it_works(error: Exception, reason: str) -> None:
    assert plain_reason(error) == reason


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (redis.ResponseError("MISCONF Redis is configured to save"), "MISCONF"),
        (redis.ReadOnlyError("You can't write against a read only replica."), "ReadOnlyError"),
        (redis.ResponseError("unknown command 'HSET', with args"), "unknown command"),
        (redis.ResponseError("WRONGTYPE Operation against a key"), "WRONGTYPE"),
        (redis.ResponseError("value is not an integer"), "ResponseError"),
        (redis.ConnectionError("max number of clients reached"), "max number of clients reached"),
        (redis.ConnectionError("Error 111 connecting to secret"), ""),
        (redis.TimeoutError("SOMETHING"), ""),
    ],
)
def test_what_redis_refuses(error: redis.RedisError, said: str) -> None:
    assert refusal(error) == said


def test_a_certificate_says_what_is_wrong_with_it() -> None:
    error = ssl.SSLCertVerificationError("verify")
    error.verify_message = "certificate has expired"
    assert plain_reason(raised_from(error)).endswith("certificate has expired")


def test_real_clients_are_understood() -> None:
    with redis.Redis.from_url("redis://user:hidden@127.0.0.1:1/0") as client:
        with pytest.raises(redis.RedisError) as caught:
            client.ping()
        assert plain_reason(caught.value) == "connection refused"
    with urllib3.PoolManager(retries=False) as http:
        with pytest.raises(urllib3.exceptions.HTTPError) as failed:
            http.request("GET", "http://127.0.0.1:1/")
        assert plain_reason(failed.value) == "connection refused"


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("mongodb://ada:hidden@127.0.0.1:1/", "cannot reach 127.0.0.1:1 (MONGODB_URI): "),
        ("mongodb://127.0.0.1:1,127.0.0.1:2/?replicaSet=x", "127.0.0.1:1, 127.0.0.1:2"),
    ],
)
def test_mongodb_away(uri: str, told: str) -> None:
    mongo = connect(Settings(mongodb_uri=uri))
    try:
        with pytest.raises(DmstatsError) as caught:
            mongo.ping()
        assert str(caught.value) == DATABASE_AWAY
        assert caught.value.reason == "MongoDB: ServerSelectionTimeoutError"
        said = explain(caught.value, mongo)
        assert told in said
        assert said.endswith("connection refused")
        assert "hidden" not in said
    finally:
        mongo.close()


def test_an_outage_of_redis_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    outage = RedisOutage()
    with caplog.at_level(logging.INFO, logger="dmstats"):
        for what in ("subscription", "lease", "get", "lease"):
            outage.failed(what, ConnectionRefusedError(111, "Connection refused"))
        outage.answered()
        outage.answered()
        outage.failed("lease", TimeoutError())
    assert [(r.getMessage(), getattr(r, "reason", "")) for r in caplog.records] == [
        ("redis_unavailable", "connection refused"),
        ("redis_recovered", ""),
        ("redis_unavailable", "timed out"),
    ]
    assert caplog.records[0].__dict__["setting"] == "REDIS_URL"


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"PORT": "abc"}, "PORT: must be a whole number from 1 to 65535, not 'abc'"),
        ({"STATS_REFRESH_INTERVAL": "1m"}, "not '1m'"),
        ({"STATS_REFRESH_INTERVALL": "30"}, "did you mean STATS_REFRESH_INTERVAL?"),
        ({"DMSTATS_DATADIR": "x"}, "did you mean DMSTATS_DATA_DIR?"),
        ({"STATS_TRANSPORT": "x" * 200}, "x..."),
    ],
)
def test_a_bad_setting_says_what_was_given(environ: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env(environ)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "environ",
    [
        {"MONGODB_URI": "http://ada:hidden@db/"},
        {"CRON_SECRET": "hidden"},
        {"DMSTATS_CANARY_URL": "ftp://ada:hidden@stats/"},
        {"META_APP_SECRET": "hidden"},
    ],
)
def test_a_secret_is_never_repeated(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(environ))) as caught:
        Settings.from_env(environ)
    assert "hidden" not in str(caught.value)


def test_every_secret_may_come_from_a_file() -> None:
    """Also those whose names begin like the settings that must be known."""
    with pytest.raises(ConfigError, match=r"DMSTATS_ALERT_URL_FILE: No such file"):
        Settings.from_env({"DMSTATS_ALERT_URL_FILE": "/nowhere/at/all"})
