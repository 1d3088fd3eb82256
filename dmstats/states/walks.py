"""What a pass reads beside the accounts, in the order of their ids."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from dmstats.db.states.rhythms import Rhythm, Rhythms, unpacked
from dmstats.db.states.state_store import KeptState


class KeptWalk:
    """The stored states of accounts asked for in ascending order."""

    def __init__(self, kept: Iterator[KeptState]) -> None:
        self._kept = kept
        self._held = next(kept, None)

    def before(self, name: str | None) -> Iterator[str]:
        """The accounts, not asked for, whose states come before those of ``name`` (None: all)."""
        while self._held is not None and (name is None or self._held.account < name):
            yield self._held.account
            self._held = next(self._kept, None)

    def of(self, name: str) -> KeptState | None:
        """The states of ``name``, None if there are none; call :meth:`before` first."""
        held = self._held
        if held is None or held.account != name:
            return None
        self._held = next(self._kept, None)
        return held


class RhythmWalk:
    """The rhythms of accounts asked for in ascending order; holds one chunk at a time."""

    def __init__(self, rhythms: Rhythms) -> None:
        self._rhythms = rhythms
        self._place: int | None = None
        self._chunk: dict[str, bytes] = {}
        self._chunks: list[tuple[str, str]] = []
        self._firsts: list[str] = []
        self._renew()

    @property
    def published(self) -> list[tuple[str, str]]:
        """The chunks of the audit that stored them."""
        return self._chunks

    def of(self, account: str) -> Rhythm | None:
        """The account's rhythm, None if it has none."""
        place = bisect_right(self._firsts, account) - 1
        if place != self._place:
            self._load(place, account)
        return unpacked(self._chunk.get(account))

    def _load(self, place: int, account: str) -> None:
        found = self._rhythms.of_chunk(self._chunks[place][1]) if place >= 0 else {}
        if found is None and self._renew():  # a newer audit was published
            place = bisect_right(self._firsts, account) - 1
            found = self._rhythms.of_chunk(self._chunks[place][1]) if place >= 0 else {}
        self._chunk, self._place = found or {}, place

    def _renew(self) -> bool:
        before, self._chunks = self._chunks, self._rhythms.published()
        self._firsts = [first for first, _ in self._chunks]
        return self._chunks != before
