"""The results of `dmstats doctor` checks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """``warning``: works, but needs attention. ``skipped``: could not be checked."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; ``remedy`` is empty if nothing needs to be done."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


def passed(check: str, found: str) -> Finding:
    """The check passed."""
    return Finding(check, Verdict.OK, found)


def warning(check: str, found: str, remedy: str) -> Finding:
    """It works, but needs attention."""
    return Finding(check, Verdict.WARNING, found, remedy)


def failed(check: str, found: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(check, Verdict.FAILURE, found, remedy)


def skipped(check: str, why: str) -> Finding:
    """It could not be checked."""
    return Finding(check, Verdict.SKIPPED, why)
