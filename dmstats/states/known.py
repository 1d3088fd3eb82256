"""The documents that the passes have seen, by digest: in memory, 17 bytes for each."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from itertools import compress

DIGEST_BYTES = 8
BUCKETS = 4096
"""A power of two. With a million documents a bucket has 250 digests, so that adding one moves few
others."""


class KnownDocuments:
    """Digests, each with a number, and a mark of whether the present pass has met it.

    Digests are evenly distributed, so that buckets by their last bits are about equal. A bucket is
    made when it is first looked into: with a few accounts, most are never.
    """

    def __init__(self) -> None:
        self._digests: defaultdict[int, array[int]] = defaultdict(lambda: array("Q"))
        """Each is sorted."""
        self._numbers: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
        self._met: defaultdict[int, bytearray] = defaultdict(bytearray)

    def unknown(self, digests: Iterable[bytes]) -> list[int]:
        """The places of those that are not known. The others are now met."""
        buckets, marks, found = self._digests, self._met, []
        for n, digest in enumerate(digests):
            key = int.from_bytes(digest, "little")
            bucket = buckets[key % BUCKETS]
            place = bisect_left(bucket, key)
            if place < len(bucket) and bucket[place] == key:
                marks[key % BUCKETS][place] = True
            else:
                found.append(n)
        return found

    def add(self, digest: bytes, number: int) -> None:
        """Know this one with its number (64 bits); it is now met."""
        key, place = self._place(digest)
        at = key % BUCKETS
        if self._is_at(key, place):
            self._numbers[at][place] = number
            self._met[at][place] = True
        else:
            self._digests[at].insert(place, key)
            self._numbers[at].insert(place, number)
            self._met[at].insert(place, True)

    def number_of(self, digest: bytes) -> int | None:
        """Its number, None if it is not known."""
        key, place = self._place(digest)
        return self._numbers[key % BUCKETS][place] if self._is_at(key, place) else None

    def discard(self, digest: bytes) -> None:
        """Forget this one, if it is known."""
        key, place = self._place(digest)
        if self._is_at(key, place):
            for column in (self._digests, self._numbers, self._met):
                del column[key % BUCKETS][place]

    def is_met(self, digest: bytes) -> bool:
        """Whether it is known and this pass has met it."""
        key, place = self._place(digest)
        return self._is_at(key, place) and bool(self._met[key % BUCKETS][place])

    def begin(self) -> None:
        """Begin a pass, which has met none."""
        self._met.clear()
        for at, bucket in self._digests.items():
            self._met[at] = bytearray(len(bucket))

    def forget_others(self) -> list[bytes]:
        """Forget those that this pass has not met, and return them."""
        found: list[int] = []
        for at, bucket in self._digests.items():
            marks = self._met[at]
            if not all(marks):
                found += (key for key, met in zip(bucket, marks, strict=True) if not met)
                self._digests[at] = array("Q", compress(bucket, marks))
                self._numbers[at] = array("q", compress(self._numbers[at], marks))
                self._met[at] = bytearray(b"\x01") * len(self._digests[at])
        return [key.to_bytes(DIGEST_BYTES, "little") for key in found]

    def _place(self, digest: bytes) -> tuple[int, int]:
        key = int.from_bytes(digest, "little")
        return key, bisect_left(self._digests[key % BUCKETS], key)

    def _is_at(self, key: int, place: int) -> bool:
        bucket = self._digests[key % BUCKETS]
        return place < len(bucket) and bucket[place] == key
