"""The exceptions of dmstats, each with its HTTP status and problem document (RFC 9457)."""

from __future__ import annotations

import re
import ssl

DATABASE_AWAY = "The database does not answer. Counting continues when it is back."
ERRNO = re.compile(r"\[Errno -?\d+\] ([^:()\[\]]+)")


class DmstatsError(Exception):
    """The base class; ``str(error)`` is safe to send to a client.

    ``reason`` is the technical cause for the log, if it says more than the text.
    """

    status = 500
    title = "Internal error"
    retry_after: float | None = None

    def __init__(
        self, detail: str = "", *, retry_after: float | None = None, reason: str = ""
    ) -> None:
        super().__init__(detail or self.title)
        self.reason = reason or str(self)
        if retry_after is not None:
            self.retry_after = retry_after

    def problem(self) -> dict[str, object]:
        """The body of the ``application/problem+json`` answer."""
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": str(self),
        }


class ConfigError(DmstatsError):
    """A setting is missing, unknown or invalid; dmstats does not start."""

    title = "Bad configuration"


def unreadable(name: str) -> ConfigError:
    """The address in the setting ``name`` is invalid. The text omits it: it may hold a password."""
    return ConfigError(
        f"{name}: cannot be read; user name and password must be percent-encoded in it"
    )


class BadRequest(DmstatsError):
    """The request cannot be understood."""

    status = 400
    title = "Bad request"


class BadSignature(DmstatsError):
    """The webhook's signature is missing or does not match any app secret."""

    status = 401
    title = "Bad signature"


class NotSignedIn(DmstatsError):
    """No valid session and no valid bearer token."""

    status = 401
    title = "Not signed in"


class NothingBegun(NotSignedIn):
    """The browser has begun no sign-in that this request could be the end of."""


class Forbidden(DmstatsError):
    """Not allowed."""

    status = 403
    title = "Forbidden"


class NotFound(DmstatsError):
    """The resource does not exist."""

    status = 404
    title = "Not found"


class TooLarge(DmstatsError):
    """The body is over the limit."""

    status = 413
    title = "Content too large"


class TooManyRequests(DmstatsError):
    """The client must wait ``retry_after`` seconds before the next request."""

    status = 429
    title = "Too many requests"
    retry_after = 1.0


class Unavailable(DmstatsError):
    """The request cannot be handled now. Nothing was acknowledged, so the client may retry."""

    status = 503
    title = "Service unavailable"
    retry_after = 1.0


class StoreUnavailable(Unavailable):
    """MongoDB is unreachable or did not answer in time."""


class NotSupported(StoreUnavailable):
    """The server does not know this command, or does not allow it yet."""


class Conflict(DmstatsError):
    """A write conflict between two transactions; the whole attempt may be retried."""

    status = 503
    title = "Write conflict"


class TransactionExpired(Conflict):
    """The server ended the transaction, as a rule because it took longer than its limit allows."""

    title = "Transaction took too long"


class Repeated(Conflict):
    """Some of the rows already exist; the attempt may be retried without them.

    Another transaction may also be writing the same rows.
    """


class AccountsContended(Conflict):
    """Another program, such as the host platform, changed an account during the transaction."""


class PoisonError(DmstatsError):
    """The database refuses this data permanently; retrying does not help."""

    title = "Data refused by the database"


class AccountRefused(DmstatsError):
    """The database refuses to change this ``account``'s document; its events can be counted."""

    title = "Account document refused by the database"

    def __init__(self, account: str, detail: str) -> None:
        super().__init__(detail)
        self.account = account


class StaleSnapshot(DmstatsError):
    """Another process has stored a newer snapshot, which must not be overwritten."""

    status = 409
    title = "Superseded by a newer snapshot"


class Superseded(DmstatsError):
    """A leader with a newer term (fencing token) has written; this leader must step down."""

    status = 409
    title = "Superseded by a newer leader"


def plain_reason(error: BaseException) -> str:
    """Why a connection failed, in plain words such as "connection refused" or "timed out".

    Follows the chain of causes of ``error``. Contains no exception name, address or password.
    """
    cause: BaseException | None = error
    seen: list[BaseException] = []
    while cause is not None and cause not in seen:
        seen.append(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its TLS certificate is not accepted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "the TLS handshake failed"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror[0].lower() + cause.strerror[1:]
        nested = getattr(cause, "reason", None)  # urllib3 keeps the cause there
        cause = cause.__cause__ or (nested if isinstance(nested, BaseException) else None)
        cause = cause or seen[-1].__context__
    text = " ".join(str(one) for one in seen)
    if found := ERRNO.search(text):
        return found[1][0].lower() + found[1][1:].strip()
    if any(isinstance(one, TimeoutError) for one in seen) or "timed out" in text.lower():
        return "timed out"
    return "it does not answer"
