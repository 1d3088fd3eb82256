"""Rules about combinations of settings; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmstats.core.settings import Settings


def contradiction(settings: Settings) -> str | None:
    """The first rule that ``settings`` break, as a sentence with its names; None if all hold."""
    sso = settings.oidc_issuer
    rules = (
        (
            settings.canary_url and not settings.admin_api_token,
            "DMSTATS_CANARY_URL: needs ADMIN_API_TOKEN, to read the stream",
        ),
        (
            settings.smtp_url and not settings.mail_from,
            "DMSTATS_SMTP_URL: needs DMSTATS_MAIL_FROM",
        ),
        (
            sso and not (settings.oidc_client_id and settings.oidc_client_secret),
            "DMSTATS_OIDC_ISSUER: needs DMSTATS_OIDC_CLIENT_ID and DMSTATS_OIDC_CLIENT_SECRET",
        ),
        (
            not sso and (settings.oidc_client_id or settings.oidc_client_secret),
            "DMSTATS_OIDC_CLIENT_ID and DMSTATS_OIDC_CLIENT_SECRET: need DMSTATS_OIDC_ISSUER",
        ),
        (
            bool(settings.oidc_role_claim) != bool(settings.oidc_roles),
            "DMSTATS_OIDC_ROLE_CLAIM and DMSTATS_OIDC_ROLES: set both or neither",
        ),
        (
            # Otherwise anybody with an account at a public provider could sign in.
            settings.oidc_unknown == "created"
            and not (settings.oidc_domains or settings.oidc_roles),
            "DMSTATS_OIDC_UNKNOWN: `created` needs DMSTATS_OIDC_DOMAINS or DMSTATS_OIDC_ROLES",
        ),
        (
            bool(settings.proxy_auth_header) != bool(settings.proxy_auth_from),
            "DMSTATS_PROXY_AUTH_HEADER and DMSTATS_PROXY_AUTH_FROM: set both or neither",
        ),
    )
    return next((sentence for broken, sentence in rules if broken), None)
