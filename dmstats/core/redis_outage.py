"""Logs an outage of Redis once, however many parts of the process notice it."""

from __future__ import annotations

import logging

from dmstats.core.errors import plain_reason

logger = logging.getLogger(__name__)

SETTING = "REDIS_URL"
MEANING = "counting goes on; dashboards poll until Redis is back"


class RedisOutage:
    """Shared by the parts of one process that use Redis."""

    def __init__(self) -> None:
        self._away = False

    def failed(self, what: str, error: Exception) -> None:
        """``what`` failed: a warning for the first of an outage, the others at ``debug``."""
        level = logging.DEBUG if self._away else logging.WARNING
        self._away = True
        reason = {"setting": SETTING, "what": what, "reason": plain_reason(error)}
        logger.log(level, "redis_unavailable", extra={**reason, "meaning": MEANING})

    def answered(self) -> None:
        """Redis answered; the next failure is a new outage."""
        if self._away:
            self._away = False
            logger.info("redis_recovered")
