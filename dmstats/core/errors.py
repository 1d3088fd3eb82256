"""What can go wrong, each with the HTTP status and problem type (RFC 9457) it is answered with."""

from __future__ import annotations

import re
import ssl

DATABASE_AWAY = "The database does not answer. Counting continues when it is back."
ERRNO = re.compile(r"\[Errno -?\d+\] ([^:()\[\]]+)")


class DmstatsError(Exception):
    """Anything that dmstats itself reports; ``str(error)`` is fit for a client to read.

    ``reason`` is for the log: the technical cause, where there is more of it than the text says.
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
    """A setting is missing, unknown or not allowed: the start stops here."""

    title = "Bad configuration"


def unreadable(name: str) -> ConfigError:
    """The address in the setting ``name`` is none; not repeated, as it may hold a password."""
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


class Forbidden(DmstatsError):
    """Known, but not allowed."""

    status = 403
    title = "Forbidden"


class NotFound(DmstatsError):
    """There is nothing by that name."""

    status = 404
    title = "Not found"


class TooLarge(DmstatsError):
    """The body is over the limit."""

    status = 413
    title = "Content too large"


class TooManyRequests(DmstatsError):
    """Again, but later: ``retry_after`` seconds from now."""

    status = 429
    title = "Too many requests"
    retry_after = 1.0


class Unavailable(DmstatsError):
    """It cannot be done now; nothing was acknowledged, so the sender may try again."""

    status = 503
    title = "Service unavailable"
    retry_after = 1.0


class StoreUnavailable(Unavailable):
    """MongoDB cannot be reached, or not within the time that is left."""


class Conflict(DmstatsError):
    """Two transactions met; the whole attempt may be made again."""

    status = 503
    title = "Write conflict"


class Repeated(Conflict):
    """Something of it is there already: the attempt may be made again without that.

    It may also have met another that writes the same.
    """


class PoisonError(DmstatsError):
    """The database refuses this very data, however often it is sent."""

    title = "Data refused by the database"


class AccountRefused(DmstatsError):
    """The database refuses to change this ``account``'s document; its events can be counted."""

    title = "Account document refused by the database"

    def __init__(self, account: str, detail: str) -> None:
        super().__init__(detail)
        self.account = account


class StaleSnapshot(DmstatsError):
    """Somebody else has written since: what was read before that must not replace it."""

    status = 409
    title = "Superseded by a newer snapshot"


class Superseded(DmstatsError):
    """A newer leadership term has written already: this one must step down."""

    status = 409
    title = "Superseded by a newer leader"


def plain_reason(error: BaseException) -> str:
    """Why a connection failed, in words a person knows: "connection refused", "timed out".

    Looks through the errors that led to ``error``; names no exception, address or password.
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
