"""What an API token may be made for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Scope(StrEnum):
    """``ADMIN_API_TOKEN`` has all of them."""

    FIGURES = "read-figures"
    ACCOUNTS = "read-accounts"
    EDITS = "write-accounts"
    REFRESH = "refresh"
    SENDS = "send-ids"
    METRICS = "metrics"
    ACTIVITY_LOG = "read-activity-log"


SCOPE_WORDS: Mapping[str, str] = {
    Scope.FIGURES: "Read the figures (snapshot, stream, history) and the incidents",
    Scope.ACCOUNTS: "Read the accounts, and deliveries with problems",
    Scope.EDITS: "Change names, limits and activity of accounts",
    Scope.REFRESH: "Refresh the figures",
    Scope.SENDS: "Report messages that the platform has sent",
    Scope.METRICS: "Read the metrics",
    Scope.ACTIVITY_LOG: "Read the activity log",
}
"""What each scope allows, in words."""
