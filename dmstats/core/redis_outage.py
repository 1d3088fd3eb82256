"""Logs a Redis outage once per process, even if several components detect it."""

from __future__ import annotations

import logging
import re

from redis.exceptions import RedisError, ResponseError

from dmstats.core.errors import plain_reason

logger = logging.getLogger(__name__)

SETTING = "REDIS_URL"
MEANING = "counting continues; dashboards poll until Redis is back"


FULL_OF_CLIENTS = "max number of clients reached"
CODE = re.compile(r"(?!ERR)[A-Z]{3,}\b")


def refusal(error: RedisError) -> str:
    """What Redis answered instead of obeying: its code, such as MISCONF, or the name of the
    driver's error. Empty if there was no answer. Contains no data."""
    text = str(error)
    if FULL_OF_CLIENTS in text:
        return FULL_OF_CLIENTS
    if not isinstance(error, ResponseError):
        return ""
    if text.startswith("unknown command"):
        return "unknown command"
    code = CODE.match(text)
    return code[0] if code else type(error).__name__


class RedisOutage:
    """Shared by all components of one process that use Redis."""

    def __init__(self) -> None:
        self._away = False

    def failed(self, what: str, error: Exception) -> None:
        """Log that ``what`` failed: the first of an outage as a warning, others as debug."""
        level = logging.DEBUG if self._away else logging.WARNING
        self._away = True
        refused = refusal(error) if isinstance(error, RedisError) else ""
        reason = f"it refuses: {refused}" if refused else plain_reason(error)
        extra = {"setting": SETTING, "what": what, "reason": reason, "meaning": MEANING}
        logger.log(level, "redis_unavailable", extra=extra)

    def answered(self) -> None:
        """Record that Redis answered; the next failure starts a new outage."""
        if self._away:
            self._away = False
            logger.info("redis_recovered")
