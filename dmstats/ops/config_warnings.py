"""Warnings about valid but questionable settings; pure."""

from __future__ import annotations

import itertools

from dmstats.core import plain_http
from dmstats.core.settings import Settings

SHORT_SECRET = 16
RECOMMENDED_SECONDS = 30


def config_warnings(settings: Settings) -> list[str]:
    """One sentence per questionable setting, with its name and a recommendation."""
    found = []
    if settings.refresh_interval < RECOMMENDED_SECONDS:
        found.append(
            f"STATS_REFRESH_INTERVAL={settings.refresh_interval} refreshes more than twice a "
            f"minute: use {RECOMMENDED_SECONDS} or more to reduce the load on MongoDB"
        )
    if settings.cache_ttl < settings.refresh_interval:
        found.append(
            f"STATS_CACHE_TTL={settings.cache_ttl} is shorter than "
            f"STATS_REFRESH_INTERVAL={settings.refresh_interval}: "
            "the cache expires between refreshes; make it at least as long"
        )
    if settings.client_debounce > settings.refresh_interval:
        found.append(
            "STATS_CLIENT_DEBOUNCE is longer than STATS_REFRESH_INTERVAL: dashboards lag behind"
        )
    if sentence := plain_http.warning(settings):
        found.append(sentence)
    if settings.proxy_auth_header and not settings.trusted_proxies:
        found.append(
            "DMSTATS_PROXY_AUTH_HEADER with TRUSTED_PROXIES=0: all clients seem to have the "
            "proxy's address, and share its rate limits; set TRUSTED_PROXIES to their number"
        )
    secrets = {
        "META_VERIFY_TOKEN": settings.meta_verify_token,
        "CRON_SECRET": settings.cron_secret,
        "SECRET_KEY": settings.secret_key,
        "ADMIN_API_TOKEN": settings.admin_api_token,
    }
    every = [*secrets.items(), *(("META_APP_SECRET", each) for each in settings.meta_app_secrets)]
    found += [
        f"{one} and {other} have the same value: give each its own"
        for (one, first), (other, second) in itertools.combinations(every, 2)
        if first and first == second
    ]
    found += [
        f"{name} has fewer than {SHORT_SECRET} characters: use a longer one"
        for name, secret in secrets.items()
        if secret and len(secret) < SHORT_SECRET
    ]
    return found
