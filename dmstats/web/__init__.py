"""Web: thin views that authenticate, call one wing and answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flask import current_app

if TYPE_CHECKING:
    from dmstats.services import Services


def services() -> Services:
    """The current application's objects, as ``dmstats.app`` wired them."""
    return cast("Services", current_app.extensions["dmstats"])
