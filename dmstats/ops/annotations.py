"""The annotations of a range: people's notes, new versions, incidents, and repairs of counters."""

from __future__ import annotations

from dmstats.db.annotations import Annotation, AnnotationStore
from dmstats.db.audit.repairs import RepairRecords
from dmstats.db.incidents import IncidentStore
from dmstats.ops.runbooks import runbook_of

INCIDENT, REPAIR = "incident", "repair"
MAX_PER_KIND = 200
"""Of each kind in one answer."""


class Annotations:
    """Reads all kinds; ``store`` holds the notes."""

    def __init__(
        self, store: AnnotationStore, incidents: IncidentStore, repairs: RepairRecords
    ) -> None:
        self.store = store
        self._incidents = incidents
        self._repairs = repairs

    def between(self, from_ms: int, to_ms: int) -> tuple[list[Annotation], bool]:
        """The annotations from ``from_ms`` to ``to_ms`` (exclusive), oldest first, at most the
        newest :data:`MAX_PER_KIND` of each kind, and whether these are all.

        Raises :class:`~dmstats.core.errors.DmstatsError`.
        """
        kinds = (
            self.store.between(from_ms, to_ms, MAX_PER_KIND + 1),
            [
                Annotation(each.id, INCIDENT, each.since,
                           f"{runbook_of(each.name).title}: {each.text}")
                for each in self._incidents.begun(from_ms, to_ms, MAX_PER_KIND + 1)
            ],
            [
                Annotation(f"repair-{at}", REPAIR, at, _repaired(counters))
                for at, counters in self._repairs.between(from_ms, to_ms, MAX_PER_KIND + 1)
            ],
        )  # fmt: skip
        found = [annotation for newest in kinds for annotation in newest[:MAX_PER_KIND]]
        return sorted(found, key=lambda each: each.at), all(
            len(each) <= MAX_PER_KIND for each in kinds
        )


class VersionNote:
    """Notes once per process that this ``version`` runs. The leader calls :meth:`tick`."""

    def __init__(self, store: AnnotationStore, version: str) -> None:
        self._store = store
        self._version = version
        self._noted = False

    def tick(self) -> None:
        """Note it, if that was not done yet. Raises :class:`~dmstats.core.errors.DmstatsError`;
        then it is tried again."""
        if not self._noted:
            self._store.note_version(self._version)
            self._noted = True


def _repaired(counters: int) -> str:
    return f"The audit repaired {counters} {'counter' if counters == 1 else 'counters'}."
