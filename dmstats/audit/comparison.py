"""Counters against what the ledger says they should be; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dmstats.core.records import DIRECT_MESSAGES, OTHER_KINDS, RECEIVED, SENT
from dmstats.db.audit.differences import Difference, Place
from dmstats.db.audit.recount import Sums

GLOBAL_FIELDS = {
    SENT: "dmsSent",
    RECEIVED: "dmsReceived",
    **{f"events.{kind}": f"events.{kind}" for kind in OTHER_KINDS},
}
"""Where the global document counts what an hour counts under another name."""


def flat(document: Mapping[str, Any], *, only: str = "") -> Counter[str]:
    """The counters of a document, dotted where nested; of the part ``only``, or of all the rest
    but ``minutes``."""
    counts: Counter[str] = Counter()
    for field, value in document.items():
        if isinstance(value, Mapping):
            if field == only or (not only and field != "minutes"):
                counts.update({f"{field}.{k}": n for k, n in _deep(value)})
        elif not only and isinstance(value, int | float) and not isinstance(value, bool):
            counts[field] = int(value)
    return counts


def _deep(document: Mapping[str, Any]) -> Iterable[tuple[str, int]]:
    for field, value in document.items():
        if isinstance(value, Mapping):
            yield from ((f"{field}.{k}", n) for k, n in _deep(value))
        else:
            yield field, _int(value)


def compare(
    place: Place, key: int | str, counted: Mapping[str, int], expected: Mapping[str, int]
) -> list[Difference]:
    """Every field that is not the same; a missing one is zero."""
    return [
        Difference(place, str(key), field, counted.get(field, 0), expected.get(field, 0))
        for field in sorted(counted.keys() | expected.keys())
        if counted.get(field, 0) != expected.get(field, 0)
    ]


def compare_global(document: Mapping[str, Any], expected: Mapping[str, int]) -> list[Difference]:
    """The totals; ``expected`` is named as in an hour. What has no rows is not compared."""
    counts = flat(document)
    counted = {name: counts[name] for name in GLOBAL_FIELDS.values()}
    return compare("global", "", counted, {GLOBAL_FIELDS[f]: n for f, n in expected.items()})


def minutes_add_up(hour: Mapping[str, Any]) -> bool:
    """Whether an hour's minutes are its DMs."""
    minutes = flat(hour, only="minutes")
    return all(
        sum(n for field, n in minutes.items() if field.endswith(f".{kind}")) == hour.get(kind, 0)
        for kind in DIRECT_MESSAGES
    )


def expected_of_accounts(
    rows: Sums, archived: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, tuple[int, int]]]:
    """DMs sent and received by account and month; those the archive received have the month ""."""
    expected: dict[str, dict[str, tuple[int, int]]] = {}
    for (account, month), sums in rows.items():
        expected.setdefault(account, {})[month] = sums
    for account, document in archived.items():
        months = expected.setdefault(account, {})
        for month, n in document.get("months", {}).items():
            sent, received = months.get(month, (0, 0))
            months[month] = (sent + n, received)
        months[""] = (0, document.get("received", 0))
    return expected


def compare_account(
    account: str,
    document: Mapping[str, Any] | None,
    months: Mapping[str, tuple[int, int]],
    running_month: str,
) -> list[Difference]:
    """One account against its ``months`` and what it brought along.

    Its monthly counter is compared while it stands in the running month.
    """
    sent = sum(month[0] for month in months.values())
    received = sum(month[1] for month in months.values())
    found = document or {}
    base = found.get("ledgerBase")
    if base is None:
        return _uncounted(account, found, months, sent, received)
    counted = {field: _int(found.get(field)) for field in ("dmUsed", "dmReceived")}
    brought = {name: _int(base.get(name)) for name in ("sent", "received", "monthSent")}
    expected = {"dmUsed": brought["sent"] + sent, "dmReceived": brought["received"] + received}
    differences = compare("accounts", account, counted, expected)
    month = found.get("currentMonth")
    if month == running_month:
        due = months.get(month, (0, 0))[0]
        due += brought["monthSent"] if base.get("month") == month else 0
        used = _int(found.get("monthlyDmUsed"))
        if used != due:
            differences.append(Difference("months", account, "monthlyDmUsed", used, due, month))
    return differences


def _uncounted(
    account: str,
    found: Mapping[str, Any],
    months: Mapping[str, tuple[int, int]],
    sent: int,
    received: int,
) -> list[Difference]:
    """Nothing was ever counted for it: what it holds is the host platform's, and rows are amiss."""
    if not (sent or received):
        return []
    newest = max(months)
    fields = {"dmUsed": sent, "dmReceived": received, "monthlyDmUsed": months[newest][0]}
    return [
        Difference(
            "months" if field == "monthlyDmUsed" else "accounts", account, field,
            _int(found.get(field)), _int(found.get(field)) + missing, newest, uncounted=True,
        )
        for field, missing in fields.items()
    ]  # fmt: skip


def drift(differences: Sequence[Difference]) -> int:
    """How many events the counters are off by: of all places, the one that is off the most.

    An event that is missing everywhere is off by one, though four places lack it.
    """
    off: Counter[str] = Counter()
    for difference in differences:
        off[difference.place] += abs(difference.missing)
    return max(off.values(), default=0)


def _int(value: object) -> int:
    """A counter as the store has it: missing counts as none, and a driver may give floats."""
    return int(value) if isinstance(value, int | float) else 0
