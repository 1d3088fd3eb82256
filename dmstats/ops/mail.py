"""Sends e-mail through the SMTP server that is set."""

from __future__ import annotations

import logging
import smtplib
import ssl
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Protocol
from urllib.parse import unquote, urlsplit

from dmstats.core.errors import DmstatsError, plain_reason
from dmstats.core.setting_types import is_loopback

logger = logging.getLogger(__name__)

SECONDS = 10.0
PORTS = {"smtp": 587, "smtps": 465}


class MailNotSent(DmstatsError):
    """The mail server was not reached, or refused the mail."""

    status = 503
    title = "Mail not sent"


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail to one address, with the same content twice."""

    to: str
    subject: str
    text: str
    html: str


class Mailer(Protocol):
    """Whatever sends mails."""

    def send(self, mail: Mail) -> None:
        """Hand ``mail`` over; raises :class:`MailNotSent`."""


class SmtpMailer:
    """Sends by ``url`` (``smtp://user:password@host:port`` or ``smtps://...``) from ``sender``.

    With ``smtp`` the connection is encrypted where the server offers that; a password is never
    sent in the clear to another machine.
    """

    def __init__(self, url: str, sender: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        self._encrypted = parts.scheme == "smtps"
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._sender = sender

    def send(self, mail: Mail) -> None:
        message = _message(mail, self._sender)
        try:
            with self._connect() as server:
                self._sign_in(server)
                server.send_message(message)
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            reason = _reason(error)
            logger.warning("mail_not_sent", extra={"reason": reason})
            raise MailNotSent(f"The mail could not be sent: {reason}.") from error

    def _connect(self) -> smtplib.SMTP:
        if self._encrypted:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self._host, self._port, timeout=SECONDS, context=context)
        server = smtplib.SMTP(self._host, self._port, timeout=SECONDS)
        try:
            self._encrypt(server)
        except BaseException:
            server.close()
            raise
        return server

    def _encrypt(self, server: smtplib.SMTP) -> None:
        server.ehlo_or_helo_if_needed()
        if server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
        elif self._password and not is_loopback(self._host):
            raise smtplib.SMTPNotSupportedError(
                "it does not support encryption, which is needed for the password"
            )

    def _sign_in(self, server: smtplib.SMTP) -> None:
        if self._user:
            server.login(self._user, self._password)


def _message(mail: Mail, sender: str) -> EmailMessage:
    message = EmailMessage()
    # Never parsed: "a,b@example.com" is one address, and would be read as two.
    name, _, domain = mail.to.rpartition("@")
    message["To"] = Address(username=name, domain=domain)
    message["From"], message["Subject"] = sender, mail.subject
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=_domain(sender))
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def _domain(sender: str) -> str:
    return sender.rpartition("@")[2].rstrip("> ") or "localhost"


def _reason(error: Exception) -> str:
    """In words; a server's own words may quote an address, so only its code is repeated."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "the mail server refused the user name or password"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the mail server does not support encryption or a required feature"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "the mail server refused the address"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the mail server answered {error.smtp_code}"
    if isinstance(error, UnicodeError):
        return "the mail server does not accept this address"
    return plain_reason(error)
