"""What can go wrong, each with the HTTP status and problem type (RFC 9457) it is answered with."""

from __future__ import annotations


class DmstatsError(Exception):
    """Anything that dmstats itself reports; ``str(error)`` is fit for a client to read."""

    status = 500
    title = "Internal error"
    retry_after: float | None = None

    def __init__(self, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(detail or self.title)
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


class Outdated(DmstatsError):
    """Somebody else has written since: what was read before that must not replace it."""

    status = 409
    title = "Outdated by a newer reading"


class Superseded(DmstatsError):
    """A newer leadership term has written already: this one must step down."""

    status = 409
    title = "Superseded by a newer leader"
