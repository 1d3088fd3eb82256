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

Settings are environment variables, and are read once at the start. An invalid value, or an unknown
name that begins with `STATS_` or `DMSTATS_`, stops the start with a message that lists what is
allowed. An empty value counts as not set. For settings marked **(file)**, you can set `NAME_FILE`
to the path of a file with the value instead. Write secrets without quotes, and their files in UTF-8
without a byte order mark. Variables that Kubernetes sets for a Service named `dmstats` or `stats`
(`DMSTATS_SERVICE_HOST`, `STATS_PORT=tcp://...`) are ignored; `enableServiceLinks: false` in the pod
removes them ([Kubernetes](kubernetes.md)).
"""

AFTER = """
## Generated secrets

`dmstats run` (`make run`) starts the databases whose address is not set, and generates the secrets
that are not set, each in a file of mode 600 in `DMSTATS_DATA_DIR/secrets`. [Commands](cli.md) that
use the same folder find both, so they need no settings.

## Changing a secret

| secret | how to change it |
|---|---|
| `META_APP_SECRET` | set `new,old`, restart, change it at Meta, set `new`, restart |
| `META_VERIFY_TOKEN` | only used when the webhook is subscribed; change it here and at Meta |
| `CRON_SECRET`, `ADMIN_API_TOKEN` | restart with the new value, then update the scripts |
| `SECRET_KEY` | restart with the new value; see below |

To replace a generated secret, delete its file and restart.

After a change of `SECRET_KEY`,

- everyone has to sign in again;
- authenticator apps no longer work: people sign in with a recovery code, and set up the second
  factor again, or you run `dmstats reset-second-factor EMAIL`;
- the addresses of [alert channels](operations.md#alerts) must be entered again;
- status pages of earlier deletion requests no longer work, and the digest of a forgotten account
  can no longer be computed.

Shared links and API tokens keep working.
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
