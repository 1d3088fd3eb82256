"""Facts that several packages share and that must be stated once."""

from __future__ import annotations

WEBHOOK_PATH = "/api/webhooks/instagram"
"""Where Meta sends its deliveries, and where probes and the simulator send theirs."""

CHANNEL = "admin:stats:updated"
"""The Redis channel (or stream) on which snapshots are published, without the installation's
prefix."""
