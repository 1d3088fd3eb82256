"""The tests' installation id, and the names of its Redis keys."""

from __future__ import annotations

import re

import redis

from dmstats.core import constants
from dmstats.core.clock import ManualClock
from dmstats.core.keyspace import Keyspace
from dmstats.snapshot import lease, publisher

INSTALLATION = "tests-0123456789abcdef"
OURS = re.compile(r"(.+-[0-9a-f]{16}):")
KEYS = Keyspace(lambda: INSTALLATION, ManualClock())

LEASE_KEY, TERM_KEY = KEYS.key(lease.LEASE_KEY), KEYS.key(lease.TERM_KEY)
CACHE_KEY, LAST_PUBLISH_KEY = KEYS.key(publisher.CACHE_KEY), KEYS.key(publisher.LAST_PUBLISH_KEY)
CHANNEL = KEYS.key(constants.CHANNEL)


def key_of(client: redis.Redis, name: str) -> str:
    """The full key of ``name``, of the only installation that has keys in Redis."""
    kept = [key.decode() for key in client.scan_iter("*")]
    [installation] = {match[1] for key in kept if (match := OURS.match(key))}
    return f"{installation}:{name}"
