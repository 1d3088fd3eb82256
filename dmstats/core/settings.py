"""The settings: declared once as data, read once from the environment, immutable."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from dmstats.core.cpus import default_workers
from dmstats.core.errors import ConfigError
from dmstats.core.redis_client import redis_address
from dmstats.core.setting_rules import contradiction
from dmstats.core.setting_types import (
    address,
    alert_urls,
    base_url,
    host_name,
    mail_address,
    mail_server,
    one_of,
    one_secret,
    raw_value,
    setting,
    several_secrets,
    text,
    whole,
)
from dmstats.core.sso_setting_types import (
    Network,
    email_domains,
    header_name,
    issuer,
    label,
    networks,
    role_map,
    scopes,
)
from dmstats.core.time_zones import UTC, zone_name

READ_PREFERENCES = ("primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest")
ACCOUNT_DAYS_KEPT = 731
"""Two years, with a leap day."""
PREFIXES = ("STATS_", "DMSTATS_")
MAX_SHOWN = 60
MIN_SIMILARITY = 0.8
"""How similar (0 to 1) an unknown name must be to a known one to be suggested."""
SERVICE_LINK = re.compile(
    r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")
"""The value of ``<SERVICE>_PORT`` if Kubernetes or Docker set it; ``DMSTATS_PORT=8000`` is a user's
mistake."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings, with types and units; build it with :meth:`from_env`."""

    mongodb_uri: str | None = setting(
        "MONGODB_URI", address("mongodb", "mongodb+srv"), None, "embedded",
        "MongoDB connection string; a replica set or sharded cluster, because dmstats uses "
        "transactions.", secret=True,
    )  # fmt: skip
    redis_url: str | None = setting(
        "REDIS_URL", redis_address, None, "embedded",
        "Redis address: a server, a Unix socket, or Sentinels with a master name.", secret=True,
    )  # fmt: skip
    mongodb_db: str | None = setting(
        "MONGODB_DB", text, None, "the URI's, else `dmstats`", "The database name."
    )
    data_dir: Path = setting(
        "DMSTATS_DATA_DIR", Path, Path("var"), "`var`",
        "The folder for the embedded databases and generated secrets.",
    )  # fmt: skip
    run_dir: Path | None = setting(
        "DMSTATS_RUN_DIR", Path, None, "`RUNTIME_DIRECTORY`, else `run` in `DMSTATS_DATA_DIR`",
        "The folder for the running service's metrics and state files. Do not use a folder that is "
        "cleaned up periodically.",
    )  # fmt: skip
    host: str = setting("HOST", host_name, "127.0.0.1", "`127.0.0.1`", "The address to listen on.")
    port: int = setting("PORT", whole(1, 65535), 8000, "`8000`", "The port to listen on.")
    web_concurrency: int = setting(
        "WEB_CONCURRENCY",
        whole(1, 512),
        0,
        "2; 1 on a single core",
        "The number of worker processes. The number of cores respects CPU affinity and the "
        "container's CPU limit.",
    )
    meta_app_secrets: tuple[str, ...] = setting(
        "META_APP_SECRET", several_secrets, (), "none",
        "The Meta app secret, which signs the webhooks; several are separated by commas.",
        secret=True,
    )  # fmt: skip
    meta_verify_token: str | None = setting(
        "META_VERIFY_TOKEN", one_secret, None, "none",
        "The token that Meta sends in the webhook handshake.", secret=True,
    )  # fmt: skip
    cron_secret: str | None = setting(
        "CRON_SECRET", one_secret, None, "none",
        "The bearer token for the cron route.", secret=True,
    )  # fmt: skip
    secret_key: str | None = setting(
        "SECRET_KEY",
        one_secret,
        None,
        "none",
        "Signs session cookies, and encrypts the addresses of alert channels.",
        secret=True,
    )
    session_hours: int = setting(
        "DMSTATS_SESSION_HOURS", whole(1, 24 * 365, "hours"), 12, "12 h",
        "The maximum length of a session; it also ends after 12 hours without a request.",
    )  # fmt: skip
    second_factor: str = setting(
        "DMSTATS_SECOND_FACTOR", one_of("optional", "required"), "optional", "`optional`",
        "Whether a second factor is `optional` or `required` for everyone who signs in.",
    )  # fmt: skip
    oidc_issuer: str | None = setting(
        "DMSTATS_OIDC_ISSUER", issuer, None, "none: no single sign-on",
        "The OpenID Connect provider that people may sign in with, written as the `issuer` of its "
        "discovery document.",
    )  # fmt: skip
    oidc_client_id: str | None = setting(
        "DMSTATS_OIDC_CLIENT_ID", text, None, "none", "The client id that the provider gave you."
    )
    oidc_client_secret: str | None = setting(
        "DMSTATS_OIDC_CLIENT_SECRET", one_secret, None, "none",
        "The client secret that the provider gave you.", secret=True,
    )  # fmt: skip
    oidc_name: str = setting(
        "DMSTATS_OIDC_NAME", label, "single sign-on", "`single sign-on`",
        "The provider's name on the sign-in page.",
    )  # fmt: skip
    oidc_scopes: str = setting(
        "DMSTATS_OIDC_SCOPES", scopes, "openid email profile", "`openid email profile`",
        "The scopes to request from the provider. Some providers need another one for groups.",
    )  # fmt: skip
    oidc_domains: tuple[str, ...] = setting(
        "DMSTATS_OIDC_DOMAINS", email_domains, (), "any",
        "The email domains of people who may sign in through the provider.",
    )  # fmt: skip
    oidc_role_claim: str | None = setting(
        "DMSTATS_OIDC_ROLE_CLAIM", text, None, "none: roles are set on the People page",
        "The claim that sets the role at each sign-in, such as `groups` or `realm_access.roles`; "
        "needs `DMSTATS_OIDC_ROLES`.",
    )  # fmt: skip
    oidc_roles: tuple[tuple[str, str], ...] = setting(
        "DMSTATS_OIDC_ROLES", role_map, (), "none",
        "The role for each value of the claim. The highest role applies; a person without any of "
        "the values is refused.",
    )  # fmt: skip
    oidc_unknown: str = setting(
        "DMSTATS_OIDC_UNKNOWN", one_of("refused", "created"), "refused", "`refused`",
        "Whether people without an account are `refused`, or `created` with the role of the "
        "claim, else viewer.",
    )  # fmt: skip
    proxy_auth_header: str | None = setting(
        "DMSTATS_PROXY_AUTH_HEADER", header_name, None, "none",
        "The header in which an identity proxy sends the person's email, such as "
        "`X-Auth-Request-Email`; needs `DMSTATS_PROXY_AUTH_FROM`. The proxy must remove it from "
        "client requests.",
    )  # fmt: skip
    proxy_auth_from: tuple[Network, ...] = setting(
        "DMSTATS_PROXY_AUTH_FROM", networks, (), "none",
        "The addresses from which the identity proxy connects. The header is ignored on "
        "connections from other addresses.",
    )  # fmt: skip
    sso_second_factor: str = setting(
        "DMSTATS_SSO_SECOND_FACTOR", one_of("own", "provider"), "own", "`own`",
        "Whether sign-ins through the provider or the proxy need a second factor set up in "
        "dmstats (`own`), or count as having one (`provider`).",
    )  # fmt: skip
    activity_log_days: int = setting(
        "DMSTATS_ACTIVITY_LOG_DAYS", whole(1, 3660, "days"), 365, "365 days",
        "How long entries of the activity log are kept; a change applies to new entries.",
    )  # fmt: skip
    admin_api_token: str | None = setting(
        "ADMIN_API_TOKEN", one_secret, None,
        "none: bearer access is off; `dmstats run` generates one",
        "The bearer token for scripts.", secret=True,
    )  # fmt: skip
    refresh_interval: int = setting(
        "STATS_REFRESH_INTERVAL", whole(1, 3600, "seconds"), 60, "60 s",
        "Seconds between scheduled refreshes; values under 30 log a warning.",
    )  # fmt: skip
    min_publish_interval: int = setting(
        "STATS_MIN_PUBLISH_INTERVAL", whole(1, 3600, "seconds"), 10, "10 s",
        "The minimum number of seconds between publishes other than the scheduled ones.",
    )  # fmt: skip
    client_debounce: int = setting(
        "STATS_CLIENT_DEBOUNCE", whole(0, 600, "seconds"), 5, "5 s",
        "How long the dashboard collects updates before it redraws.",
    )  # fmt: skip
    poll_interval: int = setting(
        "STATS_POLL_INTERVAL", whole(1, 3600, "seconds"), 30, "30 s",
        "How often the dashboard polls while its stream is down.",
    )  # fmt: skip
    cache_ttl: int = setting(
        "STATS_CACHE_TTL", whole(1, 86400, "seconds"), 60, "60 s",
        "How long the snapshot is cached in Redis.",
    )  # fmt: skip
    read_preference: str = setting(
        "STATS_READ_PREFERENCE", one_of(*READ_PREFERENCES), "primary", "`primary`",
        "The read preference of the refresh: "
        + ", ".join(f"`{name}`" for name in READ_PREFERENCES) + ".",
    )  # fmt: skip
    transport: str = setting(
        "STATS_TRANSPORT", one_of("pubsub", "stream"), "pubsub", "`pubsub`",
        "How snapshots reach the workers: Redis Pub/Sub (`pubsub`) or a Redis `stream`.",
    )  # fmt: skip
    refresher: str = setting(
        "STATS_REFRESHER", one_of("worker", "off"), "worker", "`worker`",
        "Which process refreshes: a web `worker`, or (`off`) only a separate refresher or cron.",
    )  # fmt: skip
    time_zone: str = setting(
        "STATS_TIME_ZONE", zone_name, UTC, "`UTC`",
        "The IANA time zone of the days, weeks and months on the dashboard. Stored data and the "
        "accounts' monthly figures use UTC.",
    )  # fmt: skip
    max_streams: int = setting(
        "STATS_MAX_STREAMS", whole(0, 100_000), 1000, "1000",
        "The maximum number of open dashboard streams per worker; above it, dashboards poll.",
    )  # fmt: skip
    ledger_retention_hours: int = setting(
        "LEDGER_RETENTION_HOURS", whole(36, 24 * 3660, "hours"), 168, "168",
        "How long ledger rows are kept; Meta retries for 36 hours.",
    )  # fmt: skip
    account_days_kept: int = setting(
        "DMSTATS_ACCOUNT_DAYS", whole(0, 36_600, "days"), ACCOUNT_DAYS_KEPT,
        str(ACCOUNT_DAYS_KEPT),
        "How long each account's daily figures are kept after their ledger rows were archived; "
        "0: not at all. Monthly figures are kept for ever.",
    )  # fmt: skip
    monthly_dm_limit: int = setting(
        "DMSTATS_MONTHLY_DM_LIMIT", whole(0, 1_000_000_000), 0, "0: none",
        "The monthly limit shown for accounts without their own `monthlyDmLimit`.",
    )  # fmt: skip
    account_edits: str = setting(
        "DMSTATS_ACCOUNT_EDITS", one_of("platform", "operator"), "platform", "`platform`",
        "Whose value of an account's name, limit or activity is kept if the platform writes it "
        "after an operator: the `platform`'s, or the `operator`'s, which dmstats restores.",
    )  # fmt: skip
    hourly_dm_limit: int = setting(
        "DMSTATS_HOURLY_DM_LIMIT", whole(0, 1_000_000_000), 200, "200; 0: none",
        "Meta's limit of automated DMs per account and hour: accounts near or over it are listed.",
    )  # fmt: skip
    alert_urls: tuple[str, ...] = setting(
        "DMSTATS_ALERT_URL", alert_urls, (), "none: incidents are only logged",
        "Where alerts are sent: `https://` and `http://` addresses receive JSON; all others are "
        "[Apprise](https://github.com/caronc/apprise/wiki) addresses, such as `slack://`, "
        "`discord://`, `gchat://`, `tgram://`, `pagerduty://` or `mailto://`; several are "
        "separated by commas.", secret=True,
    )  # fmt: skip
    public_url: str | None = setting(
        "DMSTATS_PUBLIC_URL", base_url, None,
        "none: the address that the admin's browser shows",
        "The service's public base URL, used for links in mails and from commands.",
    )  # fmt: skip
    smtp_url: str | None = setting(
        "DMSTATS_SMTP_URL", mail_server, None, "none: links are only shown",
        "The mail server for invitations and password links, "
        "`smtps://user:password@host:port` (or `smtp://`); needs `DMSTATS_MAIL_FROM`.",
        secret=True,
    )  # fmt: skip
    mail_from: str | None = setting(
        "DMSTATS_MAIL_FROM", mail_address, None, "none", "The sender address of mails."
    )
    canary_url: str | None = setting(
        "DMSTATS_CANARY_URL", base_url, None, "none: no canary",
        "The service's public base URL. The canary sends a test event there every minute; "
        "requires `ADMIN_API_TOKEN`.",
    )  # fmt: skip
    drain_seconds: int = setting(
        "DMSTATS_DRAIN_SECONDS", whole(0, 600, "seconds"), 0, "0 s",
        "How long a stopping worker keeps serving while `/readyz` returns 503. Set it slightly "
        "longer than your load balancer takes to detect this.",
    )  # fmt: skip
    trusted_proxies: int = setting(
        "TRUSTED_PROXIES", whole(0, 10), 0, "0",
        "The number of reverse proxies whose `X-Forwarded-*` headers are trusted.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.web_concurrency:
            object.__setattr__(self, "web_concurrency", default_workers())

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read every setting; raise one :class:`ConfigError` that lists all problems.

        An empty variable counts as not set.
        """
        problems: list[str] = []
        values: dict[str, Any] = {}
        for declared in fields(cls):
            meta = declared.metadata
            raw = ""
            try:
                raw = raw_value(environ, meta["env"], may_be_file=meta["secret"])
                if raw:
                    values[declared.name] = meta["parse"](raw)
            except ValueError as error:
                allowed, hint, near = str(error).partition("; did you mean")
                given = _shown(raw, meta)
                problems.append(f"{meta['env']}: must be {allowed}{given}{hint}{near}")
            except OSError as error:
                problems.append(f"{meta['env']}_FILE: {error.strerror}: {error.filename}")
        problems += [_unknown_setting(name) for name in sorted(_unknown(environ))]
        if problems:
            raise ConfigError("; ".join(problems))
        settings = cls(**values)
        if broken := contradiction(settings):
            raise ConfigError(broken)
        return settings

    def missing(self, *names: str) -> list[str]:
        """The environment variables of the fields in ``names`` that are not set."""
        by_name = {declared.name: declared for declared in fields(self)}
        return [by_name[name].metadata["env"] for name in names if not getattr(self, name)]

    def require(self, *names: str) -> None:
        """Raise :class:`ConfigError` unless every field of ``names`` is set."""
        if missing := self.missing(*names):
            raise ConfigError(
                f"{', '.join(missing)}: not set. Set {'them' if len(missing) > 1 else 'it'}, or "
                "start the service with `dmstats run`, which generates secrets"
            )


def _shown(raw: str, meta: Mapping[str, Any]) -> str:
    """The given value, for the error message; empty for secrets and possible passwords."""
    if not raw or meta["secret"] or "@" in raw:
        return ""
    return f", not {raw if len(raw) <= MAX_SHOWN else raw[:MAX_SHOWN] + '...'!r}"


def _known() -> set[str]:
    every = [declared.metadata for declared in fields(Settings)]
    return {meta["env"] for meta in every} | {f"{m['env']}_FILE" for m in every if m["secret"]}


def _unknown(environ: Mapping[str, str]) -> set[str]:
    return {
        name
        for name, value in environ.items()
        if name.startswith(PREFIXES) and not _is_service_link(name, value)
    } - _known()


def _unknown_setting(name: str) -> str:
    near = difflib.get_close_matches(name, sorted(_known()), n=1, cutoff=MIN_SIMILARITY)
    return f"{name}: no such setting" + (f"; did you mean {near[0]}?" if near else "")


def _is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes or Docker set the variable for a service whose name starts like ours."""
    return bool(SERVICE_LINK.fullmatch(name)) or (
        name.endswith("_PORT") and bool(SERVICE_ADDRESS.match(value))
    )
