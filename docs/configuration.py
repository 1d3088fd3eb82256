"""docs/configuration.md, from the declared settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from dmstats.core.settings import Settings
from docs import NOTICE, table

GROUPS = {
    "Databases": ("MONGODB_URI", "MONGODB_DB", "REDIS_URL", "DMSTATS_DATA_DIR"),
    "Web server": ("HOST", "PORT", "WEB_CONCURRENCY", "TRUSTED_PROXIES"),
    "Secrets": (
        "META_APP_SECRET", "META_VERIFY_TOKEN", "CRON_SECRET", "SECRET_KEY", "ADMIN_API_TOKEN",
    ),
    "Signing in": (
        "DMSTATS_SESSION_HOURS", "DMSTATS_SECOND_FACTOR", "DMSTATS_OIDC_ISSUER",
        "DMSTATS_OIDC_CLIENT_ID", "DMSTATS_OIDC_CLIENT_SECRET", "DMSTATS_OIDC_NAME",
        "DMSTATS_OIDC_SCOPES", "DMSTATS_OIDC_DOMAINS", "DMSTATS_OIDC_ROLE_CLAIM",
        "DMSTATS_OIDC_ROLES", "DMSTATS_OIDC_UNKNOWN", "DMSTATS_PROXY_AUTH_HEADER",
        "DMSTATS_PROXY_AUTH_FROM", "DMSTATS_SSO_SECOND_FACTOR",
    ),
}  # fmt: skip
REST = "Statistics and operation"

BEFORE = f"""{NOTICE}

# Configuration

Settings come from the environment, are read once at the start and never change after. A bad value
or an unknown `STATS_*` or `DMSTATS_*` name stops the start, with the name and what is allowed. An
empty value counts as not set. Where **file** is marked, `NAME_FILE` may name a file that holds the
value instead; set one of the two. A secret is written without quotes around it, its file in UTF-8
without a byte order mark. Variables that Kubernetes sets for a Service named `dmstats` or `stats`
(`DMSTATS_SERVICE_HOST`, `STATS_PORT=tcp://...`) are no settings; `enableServiceLinks: false`
in the pod keeps them out ([Kubernetes](kubernetes.md)).
"""

AFTER = """
## Generated secrets

`dmstats run` (`make run`) starts the databases whose address is not set, and generates the secrets
that are not set: a file of mode 600 each in `DMSTATS_DATA_DIR/secrets`. [Commands](cli.md) on the
same machine and folder find both, so they need no settings there.

## Changing a secret

| secret | how |
|---|---|
| `META_APP_SECRET` | set `new,old`, restart, change it at Meta, set `new`, restart |
| `META_VERIFY_TOKEN` | only used when the webhook is subscribed; change it at both ends |
| `CRON_SECRET`, `ADMIN_API_TOKEN` | restart with the new one, then tell the scripts |
| `SECRET_KEY` | restart; every admin signs in again, and see below |

For the embedded start, delete the file and restart: a new one is made.

`SECRET_KEY` also seals the secrets of authenticator apps. After its change their codes are wrong:
who has a second factor signs in with a recovery code, removes it and sets it up anew,
or you run `dmstats reset-second-factor EMAIL`. Users' pages about their requests to delete end, and
the digest of a forgotten account cannot be computed again. The addresses of
[alert channels](operations.md#alerts) must be entered again. Shared links and API tokens go on.
"""


def page() -> str:
    """The whole page."""
    declared = {setting.metadata["env"]: setting.metadata for setting in fields(Settings)}
    grouped = {name for names in GROUPS.values() for name in names}
    groups = {**GROUPS, REST: tuple(name for name in declared if name not in grouped)}
    parts = [BEFORE]
    for title, names in groups.items():
        rows = [_row(name, declared[name]) for name in names]
        parts += [f"## {title}\n", table(("name", "default", "", "allowed"), rows), ""]
    return "\n".join(parts) + AFTER


def _row(name: str, meta: Any) -> tuple[str, ...]:
    file = " (file)" if meta["secret"] else ""
    return f"`{name}`{file}", meta["shown"], meta["about"], _allowed(meta["parse"])


def _allowed(parse: Callable[[str], object]) -> str:
    """What a bad value is answered with; empty where any text will do."""
    for impossible in ("\0", " "):
        try:
            parse(impossible)
        except ValueError as error:
            return str(error)
    return ""
