"""Logs a Redis outage once per process, even if several components detect it."""

from __future__ import annotations

import logging

from dmstats.core.errors import plain_reason

logger = logging.getLogger(__name__)

SETTING = "REDIS_URL"
MEANING = "counting continues; dashboards poll until Redis is back"


class RedisOutage:
    """Shared by all components of one process that use Redis."""

    def __init__(self) -> None:
        self._away = False

    def failed(self, what: str, error: Exception) -> None:
        """Log that ``what`` failed: the first of an outage as a warning, others as debug."""
        level = logging.DEBUG if self._away else logging.WARNING
        self._away = True
        reason = {"setting": SETTING, "what": what, "reason": plain_reason(error)}
        logger.log(level, "redis_unavailable", extra={**reason, "meaning": MEANING})

    def answered(self) -> None:
        """Record that Redis answered; the next failure starts a new outage."""
        if self._away:
            self._away = False
            logger.info("redis_recovered")
