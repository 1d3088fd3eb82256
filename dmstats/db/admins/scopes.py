"""What an API token may be made for."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """``ADMIN_API_TOKEN`` has all of them."""

    FIGURES = "read-figures"
    ACCOUNTS = "read-accounts"
    REFRESH = "refresh"
    METRICS = "metrics"
