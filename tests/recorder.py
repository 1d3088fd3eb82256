"""Metrics that remember what was reported, for the hooks of every package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any


class Recorder:
    """``recorder.seen["published"]`` is how often that hook was called."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.last: dict[str, tuple[Any, ...]] = {}

    def hit_ratio(self) -> float | None:
        reads = self.seen["cache_hit"] + self.seen["cache_miss"]
        return self.seen["cache_hit"] / reads if reads else None

    def viewers(self) -> int:
        return 3

    def __getattr__(self, name: str) -> Callable[..., None]:
        def record(*values: Any) -> None:
            self.seen[name] += 1
            self.last[name] = values

        return record
