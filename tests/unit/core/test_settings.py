"""Settings from the environment: typed, strict, and with every problem in one message."""

from __future__ import annotations

import dataclasses
import traceback
from pathlib import Path

import pytest

from dmstats.app import create_app
from dmstats.core.errors import ConfigError
from dmstats.core.setting_types import is_loopback
from dmstats.core.settings import Settings


def test_it_works() -> None:
    settings = Settings.from_env(
        {"MONGODB_URI": "mongodb://db/x", "META_APP_SECRET": "one-secret, two-secret", "PORT": "81"}
    )
    assert settings.mongodb_uri == "mongodb://db/x"
    assert settings.meta_app_secrets == ("one-secret", "two-secret")
    assert (settings.port, settings.refresh_interval) == (81, 60)


def test_nothing_set_is_fine_and_an_empty_value_is_not_set() -> None:
    assert Settings.from_env({"PORT": "", "REDIS_URL": " "}) == Settings()


def test_settings_cannot_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PORT", "0", "a whole number from 1 to 65535"),
        ("PORT", "80x", "a whole number"),
        ("STATS_REFRESH_INTERVAL", "-1", "seconds"),
        ("STATS_READ_PREFERENCE", "closest", "primaryPreferred"),
        ("STATS_TRANSPORT", "pigeon", "pubsub, stream"),
        ("STATS_REFRESHER", "on", "worker, off"),
        ("LEDGER_RETENTION_HOURS", "35", "from 36"),
        ("MONGODB_URI", "postgres://x", "mongodb://"),
        ("REDIS_URL", "localhost", "redis://"),
        ("CRON_SECRET", "short", "at least 8 characters"),
        ("SECRET_KEY", "changeme", "not a common default"),
        ("SECRET_KEY", "Your-Secret-Key", "not a common default"),
        ("ADMIN_API_TOKEN", "xxxxxxxxxxxxxxxx", "not a common default"),
        ("META_APP_SECRET", "good-secret,bad", "at least 8"),
        ("META_APP_SECRET", '"0123456789abcdef"', "without quotes around it"),
        ("META_APP_SECRET", "'0123456789abcdef'", "without quotes around it"),
        ("META_APP_SECRET", '"0123456789abcdef,fedcba9876543210"', "without quotes around it"),
        ("META_APP_SECRET", "0123456789abcdef,'fedcba9876543210'", "without quotes around it"),
        ("CRON_SECRET", "\u201c0123456789abcdef\u201d", "without quotes around it"),
        ("SECRET_KEY", "\ufeff0123456789abcdef", "without the byte order mark"),
        ("META_APP_SECRET", "0123456789abcdef\u200b", "U+200B is character 17"),
        ("META_APP_SECRET", "0123456789abcdef,\u00adfedcba9876543210", "U+00AD is character 1"),
        ("META_APP_SECRET", "0123456789abcdef\nfedcba9876543210", "U+000A is character 17"),
        ("CRON_SECRET", "01234567\x0089abcdef", "U+0000 is character 9"),
        ("META_VERIFY_TOKEN", "0123456789abcdef\udcff", "U+DCFF is character 17"),
        ("META_APP_SECRET", "META_APP_SECRET=0123456789abcdef", "without its name"),
        ("CRON_SECRET", "export CRON_SECRET=0123456789abcdef", "without its name"),
        ("META_APP_SECRET", " , ", "one secret or several"),
        ("HOST", "a b", "a host name"),
        ("HOST", "localhost:8000", "a host name"),
        ("HOST", "0.0.0.0:80", "a host name"),
        ("DMSTATS_SESSION_HOURS", "0", "from 1 to 8760 hours"),
        ("DMSTATS_PUBLIC_URL", "stats.example.com", "https://"),
        ("DMSTATS_PUBLIC_URL", "https://", "https://"),
        ("DMSTATS_PUBLIC_URL", "https:///stats", "https://"),
        ("DMSTATS_PUBLIC_URL", "https://stats.example.com/#/x", "without"),
        ("DMSTATS_PUBLIC_URL", "https://stats.example.com?x", "without"),
        ("DMSTATS_PUBLIC_URL", "https://stats.example.com:port", "https://"),
        ("DMSTATS_CANARY_URL", "https://stats example.com", "https://"),
        ("DMSTATS_SMTP_URL", "mail.example.com", "smtps://"),
        ("DMSTATS_SMTP_URL", "smtp://", "smtps://"),
        ("DMSTATS_SMTP_URL", "smtp://user:a/b@mail.example.com", "percent-encoded"),
        ("DMSTATS_SMTP_URL", "smtp://mail.example.com:x", "smtps://"),
        ("DMSTATS_OIDC_ISSUER", "http://id.example.com", "starts with https://"),
        ("DMSTATS_OIDC_ISSUER", "https://", "starts with https://"),
        ("DMSTATS_OIDC_ISSUER", "https://id.example.com/?x", "without ? and #"),
        ("DMSTATS_OIDC_SCOPES", "email profile", "openid among them"),
        ("DMSTATS_OIDC_DOMAINS", "@example.com", "example.com, separated"),
        ("DMSTATS_OIDC_DOMAINS", ",", "separated by commas"),
        ("DMSTATS_OIDC_ROLES", "staff", "stats-admins=admin,staff=viewer"),
        ("DMSTATS_OIDC_ROLES", "staff=owner", "viewer, operator, admin"),
        ("DMSTATS_OIDC_ROLES", "=admin", "stats-admins=admin"),
        ("DMSTATS_OIDC_NAME", "x" * 41, "at most 40"),
        ("DMSTATS_OIDC_UNKNOWN", "admin", "refused, created"),
        ("DMSTATS_PROXY_AUTH_HEADER", "Authorization", "a header of its own"),
        ("DMSTATS_PROXY_AUTH_HEADER", "X Email", "a header of its own"),
        ("DMSTATS_PROXY_AUTH_FROM", "proxy", "IP addresses or networks"),
        ("DMSTATS_PROXY_AUTH_FROM", "10.0.0.1,0.0.0.0/0", "IP addresses or networks"),
        ("DMSTATS_PROXY_AUTH_FROM", "::/0", "IP addresses or networks"),
        ("DMSTATS_MAIL_FROM", "dmstats", "an address for mails"),
        ("DMSTATS_MAIL_FROM", "a@b.c\nBcc: d@e.f", "an address for mails"),
    ],
)
def test_a_bad_value_names_the_setting_and_what_is_allowed(
    name: str, value: str, allowed: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({name: value})
    assert name in str(caught.value)
    assert allowed in str(caught.value)


SSO = {
    "DMSTATS_OIDC_ISSUER": "https://id.example.com/",
    "DMSTATS_OIDC_CLIENT_ID": "dmstats",
    "DMSTATS_OIDC_CLIENT_SECRET": "0123456789abcdef",
}


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        (
            {"DMSTATS_OIDC_ISSUER": "https://id.example.com"},
            "_ISSUER: needs DMSTATS_OIDC_CLIENT_ID",
        ),
        ({"DMSTATS_OIDC_CLIENT_ID": "dmstats"}, "need DMSTATS_OIDC_ISSUER"),
        ({**SSO, "DMSTATS_OIDC_ROLE_CLAIM": "groups"}, "set both or neither"),
        ({**SSO, "DMSTATS_OIDC_ROLES": "staff=viewer"}, "set both or neither"),
        ({**SSO, "DMSTATS_OIDC_UNKNOWN": "created"}, "needs DMSTATS_OIDC_DOMAINS or"),
        ({"DMSTATS_PROXY_AUTH_HEADER": "X-Email"}, "set both or neither"),
        ({"DMSTATS_PROXY_AUTH_FROM": "10.0.0.1"}, "set both or neither"),
    ],
)
def test_settings_that_contradict_each_other_stop_the_start(
    environ: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        Settings.from_env(environ)


def test_settings_of_single_sign_on() -> None:
    more = {"DMSTATS_OIDC_ROLE_CLAIM": "groups", "DMSTATS_OIDC_UNKNOWN": "created"}
    roles = {
        "DMSTATS_OIDC_ROLES": "a=b = admin, staff=viewer",
        "DMSTATS_OIDC_DOMAINS": "EXAMPLE.com",
    }
    read = Settings.from_env({**SSO, **more, **roles})
    assert read.oidc_issuer == "https://id.example.com/", "the slash is a part of it"
    assert read.oidc_roles == (("a=b", "admin"), ("staff", "viewer"))
    assert read.oidc_domains == ("example.com",)
    assert "0123456789abcdef" not in repr(read)


def test_unknown_names_of_ours_stop_the_start_and_others_do_not() -> None:
    with pytest.raises(ConfigError, match=r"DMSTATS_X: no such setting; STATS_TYPO: no such"):
        Settings.from_env({"STATS_TYPO": "1", "DMSTATS_X": "1", "STATSD_HOST": "fine"})


LINKS = {
    "DMSTATS_SERVICE_HOST": "10.96.14.7",
    "DMSTATS_SERVICE_PORT": "80",
    "DMSTATS_SERVICE_PORT_HTTP": "80",
    "DMSTATS_PORT": "tcp://10.96.14.7:80",
    "DMSTATS_PORT_80_TCP": "tcp://10.96.14.7:80",
    "DMSTATS_PORT_80_TCP_PROTO": "tcp",
    "DMSTATS_PORT_80_TCP_PORT": "80",
    "DMSTATS_PORT_80_TCP_ADDR": "10.96.14.7",
    "DMSTATS_WEB_PORT_53_UDP_ADDR": "10.96.14.7",
    "DMSTATS_WEB_SERVICE_PORT_METRICS": "9100",
    "STATS_SERVICE_HOST": "10.96.14.8",
    "STATS_PORT": "tcp://10.96.14.8:80",
}


def test_links_to_a_service_named_like_ours_are_no_settings() -> None:
    assert Settings.from_env({**LINKS, "PORT": "81"}) == Settings(port=81)


@pytest.mark.parametrize("name", ["DMSTATS_PORT", "STATS_PORT_X", "DMSTATS_SERVICE", "STATS_HOST"])
def test_what_looks_almost_like_a_link_is_a_mistake(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: no such setting"):
        Settings.from_env({name: "8000"})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xef\xbb\xbf0123456789abcdef\n", "without the byte order mark in front: save .*key"),
        ("0123456789abcdef".encode("utf-16"), "key is UTF-16; save it as UTF-8"),
        (b"\xff0123456789abcdef", "UTF-8 text, which .*key is not"),
        (b'"0123456789abcdef"\n', "without quotes around it"),
    ],
)
def test_a_secrets_file_that_would_never_match_is_named(
    tmp_path: Path, content: bytes, told: str
) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match=f"META_APP_SECRET: must be .*{told}") as caught:
        Settings.from_env({"META_APP_SECRET_FILE": str(tmp_path / "key")})
    assert "0123456789" not in str(caught.value)


def test_lines_of_windows_end_in_a_secrets_file_as_others(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"0123456789abcdef\r\n")
    settings = Settings.from_env({"META_APP_SECRET_FILE": str(tmp_path / "key")})
    assert settings.meta_app_secrets == ("0123456789abcdef",)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"PORT: .*; STATS_TRANSPORT: "):
        Settings.from_env({"PORT": "x", "STATS_TRANSPORT": "x"})


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    settings = Settings.from_env({"SECRET_KEY_FILE": str(tmp_path / "key")})
    assert settings.secret_key == "from-a-file"


def test_a_secret_is_set_once(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file")
    with pytest.raises(ConfigError, match="SECRET_KEY and SECRET_KEY_FILE"):
        Settings.from_env({"SECRET_KEY": "from-the-env", "SECRET_KEY_FILE": str(tmp_path / "key")})


def test_a_missing_secrets_file_is_told() -> None:
    with pytest.raises(ConfigError, match="CRON_SECRET_FILE: No such file"):
        Settings.from_env({"CRON_SECRET_FILE": "/nowhere/at/all"})


def test_what_is_required_and_missing_is_named() -> None:
    with pytest.raises(ConfigError, match="MONGODB_URI, CRON_SECRET: not set"):
        Settings(secret_key="x" * 8).require("mongodb_uri", "secret_key", "cron_secret")


@pytest.mark.parametrize(
    ("mongodb_uri", "redis_url", "name"),
    [
        ("mongodb://user:hunter/2x@db1/x", "redis://127.0.0.1:1/0", "MONGODB_URI"),
        ("mongodb://user:hunter2x@db1:bad/x", "redis://127.0.0.1:1/0", "MONGODB_URI"),
        ("mongodb://127.0.0.1:1/", "redis://user:hunter#2x@h/0", "REDIS_URL"),
        ("mongodb://127.0.0.1:1/", "redis://user:hunter2x@h:hunter2x/0", "REDIS_URL"),
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(
    mongodb_uri: str, redis_url: str, name: str
) -> None:
    secret = "secret-of-the-test"
    settings = Settings(
        mongodb_uri=mongodb_uri, redis_url=redis_url, meta_app_secrets=(secret,),
        meta_verify_token=secret, cron_secret=secret, secret_key=secret,
    )  # fmt: skip
    with pytest.raises(ConfigError, match=f"{name}: cannot be read") as caught:
        create_app(settings)
    assert "hunter" not in "".join(traceback.format_exception(caught.value))


def test_the_canary_needs_a_token() -> None:
    environ = {"DMSTATS_CANARY_URL": "https://stats.example.com"}
    with pytest.raises(ConfigError, match="needs ADMIN_API_TOKEN"):
        Settings.from_env(environ)
    token = {"ADMIN_API_TOKEN": "token-of-the-test"}
    assert Settings.from_env(environ | token).canary_url == "https://stats.example.com"


def test_a_mail_server_needs_a_sender() -> None:
    environ = {"DMSTATS_SMTP_URL": "smtps://user:p%40ss@mail.example.com"}
    with pytest.raises(ConfigError, match="needs DMSTATS_MAIL_FROM") as caught:
        Settings.from_env(environ)
    assert "p%40ss" not in str(caught.value)
    sender = {"DMSTATS_MAIL_FROM": "dmstats <stats@example.com>"}
    assert Settings.from_env(environ | sender).mail_from == "dmstats <stats@example.com>"


def test_secrets_are_not_printed() -> None:
    settings = Settings(
        mongodb_uri="mongodb://u:hidden@h", meta_app_secrets=("hidden",), secret_key="hidden"
    )
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("10.0.0.1", False), ("example.com", False), ("", False)],
)  # fmt: skip
def test_loopback_is_told_apart(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("given", "meant"),
    [("europe/berlin", "Europe/Berlin"), ("Berlin", "Europe/Berlin"), ("utc", "UTC"),
     ("Europe/Belrin", "Europe/Berlin"), ("los angeles", "America/Los_Angeles")],
)  # fmt: skip
def test_a_time_zone_that_is_none_is_refused_with_a_near_one(given: str, meant: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.from_env({"STATS_TIME_ZONE": given})
    assert "STATS_TIME_ZONE: must be an IANA time zone" in str(refused.value)
    assert str(refused.value).endswith(f"did you mean {meant}?")


@pytest.mark.parametrize("given", ["../etc/passwd", "/etc/localtime", "Europe", "\x00", "?"])
def test_a_time_zone_is_a_name_and_no_path(given: str) -> None:
    with pytest.raises(ConfigError, match="must be an IANA time zone"):
        Settings.from_env({"STATS_TIME_ZONE": given})
    assert Settings.from_env({"STATS_TIME_ZONE": "Asia/Kolkata"}).time_zone == "Asia/Kolkata"
