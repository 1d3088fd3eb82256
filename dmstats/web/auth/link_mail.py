"""The mail that carries a link for choosing a password. Pure."""

from __future__ import annotations

from dmstats.ops.mail import Mail
from dmstats.ops.mail_page import mail_page, moment

PATH = "/password"


def link_address(base: str, token: str) -> str:
    """Where the link leads, below the service's ``base`` address."""
    return f"{base.rstrip('/')}{PATH}?link={token}"


def link_mail(email: str, address: str, ends_at: str, *, invited: bool) -> Mail:
    """The mail to ``email``: an invitation, or for a password that was lost.

    ``ends_at`` is RFC 3339.
    """
    subject = "Your invitation to dmstats" if invited else "Choose a new password for dmstats"
    why = (
        "You have been invited to dmstats, the dashboard for your Instagram messages."
        if invited
        else "An admin has created a link for you to choose a new password."
    )
    action = "Choose your password" if invited else "Choose a new password"
    once = f"The link works once, until {moment(ends_at)}."
    unwanted = (
        "If you did not expect this invitation, ignore this email."
        if invited
        else "If you did not request this, ignore this email. Your password will not change."
    )
    text = f"{why}\n\n{action}:\n{address}\n\n{once}\n{unwanted}\n"
    html = mail_page(subject, why, button=(action, address), small=(f"{once} {unwanted}", address))
    return Mail(email, subject, text, html)
