"""The documents that the passes have seen, by digest: in memory, nine bytes for each."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import compress

DIGEST_BYTES = 8
BUCKETS = 4096
"""A power of two. With a million documents a bucket has 250 digests, so that adding one moves few
others."""


class KnownDocuments:
    """A set of digests, each with a mark of whether the present pass has met it.

    Digests are evenly distributed, so that buckets by their last bits are about equal.
    """

    def __init__(self) -> None:
        self._digests = [array("Q") for _ in range(BUCKETS)]
        """Each is sorted."""
        self._met = [bytearray() for _ in range(BUCKETS)]

    def unknown(self, digests: Iterable[bytes]) -> list[int]:
        """The places of those that are not known. The others are now met."""
        buckets, marks, found = self._digests, self._met, []
        for n, digest in enumerate(digests):
            number = int.from_bytes(digest, "little")
            bucket = buckets[number % BUCKETS]
            place = bisect_left(bucket, number)
            if place < len(bucket) and bucket[place] == number:
                marks[number % BUCKETS][place] = True
            else:
                found.append(n)
        return found

    def add(self, digest: bytes) -> None:
        """Know this one, which is now met."""
        number, place = self._place(digest)
        bucket, marks = self._digests[number % BUCKETS], self._met[number % BUCKETS]
        if self._is_at(number, place):
            marks[place] = True
        else:
            bucket.insert(place, number)
            marks.insert(place, True)

    def discard(self, digest: bytes) -> None:
        """Forget this one, if it is known."""
        number, place = self._place(digest)
        if self._is_at(number, place):
            del self._digests[number % BUCKETS][place]
            del self._met[number % BUCKETS][place]

    def is_met(self, digest: bytes) -> bool:
        """Whether it is known and this pass has met it."""
        number, place = self._place(digest)
        return self._is_at(number, place) and bool(self._met[number % BUCKETS][place])

    def begin(self) -> None:
        """Begin a pass, which has met none."""
        self._met = [bytearray(len(bucket)) for bucket in self._digests]

    def forget_others(self) -> list[bytes]:
        """Forget those that this pass has not met, and return them."""
        found: list[int] = []
        for n, (bucket, marks) in enumerate(zip(self._digests, self._met, strict=True)):
            if not all(marks):
                found += (digest for digest, met in zip(bucket, marks, strict=True) if not met)
                self._digests[n] = array("Q", compress(bucket, marks))
                self._met[n] = bytearray(b"\x01") * len(self._digests[n])
        return [digest.to_bytes(DIGEST_BYTES, "little") for digest in found]

    def _place(self, digest: bytes) -> tuple[int, int]:
        number = int.from_bytes(digest, "little")
        return number, bisect_left(self._digests[number % BUCKETS], number)

    def _is_at(self, number: int, place: int) -> bool:
        bucket = self._digests[number % BUCKETS]
        return place < len(bucket) and bucket[place] == number
