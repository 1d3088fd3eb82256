"""The mail that carries a link for choosing a password. Pure."""

from __future__ import annotations

from html import escape

from dmstats.ops.mail import Mail

PATH = "/password"


def link_address(base: str, token: str) -> str:
    """Where the link leads, below the service's ``base`` address."""
    return f"{base.rstrip('/')}{PATH}?link={token}"


def link_mail(email: str, address: str, ends_at: str, *, invited: bool) -> Mail:
    """The mail to ``email``: an invitation, or for a password that was lost.

    ``ends_at`` is RFC 3339.
    """
    until = f"{ends_at[:10]} {ends_at[11:16]} UTC"
    subject = "Your invitation to dmstats" if invited else "Choose a new password for dmstats"
    why = (
        "You have been invited to dmstats, the dashboard for your Instagram messages."
        if invited
        else "An admin has created a link for you to choose a new password."
    )
    action = "Choose your password" if invited else "Choose a new password"
    once = f"The link works once, until {until}."
    unwanted = (
        "If you did not expect this invitation, ignore this email."
        if invited
        else "If you did not request this, ignore this email. Your password will not change."
    )
    text = f"{why}\n\n{action}:\n{address}\n\n{once}\n{unwanted}\n"
    html = f"""\
<!doctype html>
<html lang="en">
<body style="margin:0;padding:24px;background:#f4f4f5;color:#18181b;\
font:16px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif">
<div style="max-width:480px;margin:0 auto;padding:24px 32px;background:#ffffff;\
border-radius:12px">
<h1 style="margin:0 0 16px;font-size:20px;line-height:1.3">{escape(subject)}</h1>
<p style="margin:0 0 20px">{escape(why)}</p>
<p style="margin:0 0 20px"><a href="{escape(address)}" style="display:inline-block;\
padding:12px 20px;background:#1d4ed8;color:#ffffff;border-radius:8px;text-decoration:none;\
font-weight:600">{action}</a></p>
<p style="margin:0 0 8px;font-size:14px;color:#52525b">{once} {escape(unwanted)}</p>
<p style="margin:0;font-size:14px;color:#52525b;word-break:break-all">{escape(address)}</p>
</div>
</body>
</html>
"""
    return Mail(email, subject, text, html)
