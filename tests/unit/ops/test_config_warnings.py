"""Settings that are allowed and yet deserve a warning."""

from __future__ import annotations

import pytest

from dmstats.core.settings import Settings
from dmstats.ops.config_warnings import config_warnings


def test_it_works() -> None:
    assert config_warnings(Settings()) == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (Settings(refresh_interval=29), "STATS_REFRESH_INTERVAL=29"),
        (Settings(refresh_interval=120), "STATS_CACHE_TTL=60"),
        (Settings(client_debounce=61), "STATS_CLIENT_DEBOUNCE"),
        (Settings(cron_secret="short-one"), "CRON_SECRET"),
        (Settings(host="0.0.0.0"), "TRUSTED_PROXIES"),
        (Settings(cron_secret="x" * 16, secret_key="x" * 16), "CRON_SECRET and SECRET_KEY have"),
        (
            Settings(meta_app_secrets=("n" * 32, "o" * 32), meta_verify_token="o" * 32),
            "META_VERIFY_TOKEN and META_APP_SECRET have the same value",
        ),
    ],
)
def test_each_doubt_names_its_setting(settings: Settings, named: str) -> None:
    (sentence,) = config_warnings(settings)
    assert named in sentence


def test_a_trusted_proxy_may_do_https() -> None:
    assert config_warnings(Settings(host="0.0.0.0", trusted_proxies=1)) == []
    assert config_warnings(Settings(host="::1")) == []


def test_no_secret_is_told() -> None:
    assert "short-one" not in " ".join(config_warnings(Settings(secret_key="short-one")))


def test_an_identity_proxy_whose_addresses_are_not_trusted() -> None:
    settings = Settings(proxy_auth_header="X-Email")
    assert any("TRUSTED_PROXIES" in each for each in config_warnings(settings))
    trusting = Settings(proxy_auth_header="X-Email", trusted_proxies=1)
    assert not any("PROXY_AUTH" in each for each in config_warnings(trusting))
