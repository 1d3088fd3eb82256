"""What a person may do: each role includes those before it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """A viewer sees the figures, an operator also refreshes them, an admin also manages people."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role may do everything that ``other`` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


def role_from(document: Mapping[str, Any]) -> Role:
    """The role in a document of ``dmstats_admins``.

    Before roles existed everyone was an admin, so a document without a role is an admin's. An
    invalid role is read as the lowest one: a damaged document must not give rights.
    """
    if "role" not in document:
        return Role.ADMIN
    stored = document["role"]
    known = isinstance(stored, str) and stored in set(Role)
    return Role(stored) if known else Role.VIEWER
