"""Compares counters with the values expected from the ledger; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from dmstats.core.records import DIRECT_MESSAGES, OTHER_KINDS, RECEIVED, SENT
from dmstats.db import typed
from dmstats.db.audit.differences import Difference, Offset, Place, Why
from dmstats.db.audit.recount import Sums
from dmstats.db.documents import Account, LedgerBase

NOTHING = Offset()

GLOBAL_FIELDS = {
    SENT: "dmsSent",
    RECEIVED: "dmsReceived",
    **{f"events.{kind}": f"events.{kind}" for kind in OTHER_KINDS},
}
"""The global document's field for each field of an hour."""


GROUPS = {"events": 1, "minutes": 2, "months": 1}
"""The nesting depth of counters in our documents."""


def flat(document: Mapping[str, Any], *, only: str = "") -> Counter[str]:
    """The counters of a document, with dotted names if nested: those within ``only``, or all except
    ``minutes``."""
    counts: Counter[str] = Counter()
    for field, value in document.items():
        if isinstance(value, Mapping):
            if field == only or (not only and field != "minutes"):
                counts.update({f"{field}.{k}": n for k, n in _deep(value)})
        elif not only and field not in GROUPS and (number := typed.integer(value)) is not None:
            counts[field] = number
    return counts


def _deep(document: Mapping[str, Any]) -> Iterable[tuple[str, int]]:
    for field, value in document.items():
        if isinstance(value, Mapping):
            yield from ((f"{field}.{k}", n) for k, n in _deep(value))
        else:
            yield field, typed.integer(value) or 0


def unreadable(document: Mapping[str, Any], *fields: str) -> dict[str, str]:
    """The ``fields``, including nested ones, that are not counters. Maps dotted names to what is
    unreadable: ``value``, or ``group`` where an embedded document is expected."""
    odd: dict[str, str] = {}
    for field in fields:
        if field not in document:
            continue
        value, group = document[field], field in GROUPS
        if group:
            odd |= _odd_in(field, value, GROUPS[field])
        elif typed.integer(value) is None:
            odd[field] = "value"
    return odd


def _odd_in(name: str, value: object, depth: int) -> dict[str, str]:
    if not depth:
        return {} if typed.integer(value) is not None else {name: "value"}
    if not isinstance(value, Mapping):
        return {name: "group"}
    odd: dict[str, str] = {}
    for field, inner in value.items():
        odd |= _odd_in(f"{name}.{field}", inner, depth - 1)
    return odd


def compare(
    place: Place,
    key: int | str,
    counted: Mapping[str, int],
    expected: Mapping[str, int],
    odd: Mapping[str, str] | None = None,
    unknown: Mapping[str, str] | None = None,
) -> list[Difference]:
    """Every field that differs. A missing field is zero; a field in ``odd`` (see
    :func:`unreadable`) always differs. What to expect of the fields in ``unknown`` cannot be read
    (as in ``odd``), so they are not compared."""
    odd, unknown = odd or {}, unknown or {}
    names = (counted.keys() | expected.keys() | odd.keys()) - _inside(odd, expected)
    names -= unknown.keys() | _inside(unknown, names)
    return [
        Difference(
            place, str(key), field, counted.get(field, 0), expected.get(field, 0),
            unreadable=field in odd,
        )
        for field in sorted(names)
        if field in odd or counted.get(field, 0) != expected.get(field, 0)
    ]  # fmt: skip


def _inside(odd: Mapping[str, str], names: Iterable[str]) -> set[str]:
    """The ``names`` within an unreadable group: the group must be repaired first."""
    groups = tuple(f"{name}." for name, what in odd.items() if what == "group")
    return {name for name in names if name.startswith(groups)} if groups else set()


def compare_global(
    document: Mapping[str, Any],
    expected: Mapping[str, int],
    unknown: Mapping[str, str] | None = None,
) -> list[Difference]:
    """Compare the totals; ``expected`` and ``unknown`` have the names of an hour's fields. Counters
    without rows are not compared."""
    counts = flat(document)
    counted = {name: counts[name] for name in GLOBAL_FIELDS.values()}
    odd = unreadable(document, "dmsSent", "dmsReceived", "events")
    named = {GLOBAL_FIELDS[f]: n for f, n in expected.items() if f in GLOBAL_FIELDS}
    names = {GLOBAL_FIELDS.get(field, field): what for field, what in (unknown or {}).items()}
    return compare("global", "", counted, named, odd, names)


def minutes_add_up(hour: Mapping[str, Any]) -> bool:
    """Whether an hour's minutes add up to its DMs."""
    minutes = flat(hour, only="minutes")
    return all(
        sum(n for field, n in minutes.items() if field.endswith(f".{kind}"))
        == (typed.counter(hour.get(kind)) or 0)
        for kind in DIRECT_MESSAGES
    ) and not unreadable(hour, "minutes")


def expected_of_accounts(
    rows: Sums, archived: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, tuple[int, int]]]:
    """DMs sent and received by account and month. Received DMs in the archive are not known by
    month, and have the month ""."""
    expected: dict[str, dict[str, tuple[int, int]]] = {}
    for (account, month), sums in rows.items():
        expected.setdefault(account, {})[month] = sums
    for account, document in archived.items():
        months = expected.setdefault(account, {})
        for month, n in typed.document(document.get("months")).items():
            sent, received = months.get(month, (0, 0))
            months[month] = (sent + (typed.counter(n) or 0), received)
        months[""] = (0, typed.counter(document.get("received")) or 0)
    return expected


def compare_account(
    name: str,
    account: Account | None,
    months: Mapping[str, tuple[int, int]],
    running_month: str,
    known: Offset = NOTHING,
    backlog: Offset = NOTHING,
    unknown: Collection[str] = (),
) -> list[Difference]:
    """Compare one account with its ``months`` (DMs in the ledger), base and known changes, except
    the ``unknown`` counters, of which the archive cannot be read.

    The part of a counter that dmstats counted is its value minus ``ledgerBase``; without a base
    that is zero. It should equal the ledger's rows, minus the ``backlog`` (counted, but not yet
    added to the account), plus the ``known`` changes by the platform. Unreadable counters are not
    compared, but listed separately. The monthly counter is compared only if it is for the running
    month.
    """
    why: Why = "deleted" if account is None else "replaced" if account.base is None else "changed"
    rows = (sum(sent for sent, _ in months.values()), sum(got for _, got in months.values()))
    held = _held(account, running_month)
    due = {
        "dmUsed": rows[0] - backlog.sent,
        "dmReceived": rows[1] - backlog.received,
        "monthlyDmUsed": months.get(running_month, (0, 0))[0] - _of(backlog, running_month),
    }
    offsets = {
        "dmUsed": known.sent,
        "dmReceived": known.received,
        "monthlyDmUsed": _of(known, running_month),
    }
    return [
        Difference(
            "months" if field == "monthlyDmUsed" else "accounts", name, field,
            counted, counted - ours + due[field] + offsets[field],
            running_month if field == "monthlyDmUsed" else "",
            why=why, offset=ours - due[field],
        )
        for field, (counted, ours) in held.items()
        if ours != due[field] + offsets[field] and field not in unknown
    ]  # fmt: skip


def unreadable_sums(archived: Mapping[str, Any]) -> dict[str, str]:
    """The sums of an account in the archive that are no counters; ``months`` has its sent DMs."""
    return unreadable(archived, "months", "received")


def unknown_of(archived: Mapping[str, Any]) -> set[str]:
    """The counters of an account that cannot be compared with its sums in the archive."""
    odd = unreadable_sums(archived)
    sent = {"dmUsed", "monthlyDmUsed"} if odd.keys() - {"received"} else set()
    return sent | ({"dmReceived"} if "received" in odd else set())


def _held(account: Account | None, running_month: str) -> dict[str, tuple[int, int]]:
    """Each counter's value, and the part that dmstats counted; unknown ones are omitted."""
    if account is None:
        return dict.fromkeys(("dmUsed", "dmReceived", "monthlyDmUsed"), (0, 0))
    base, held = account.base, {}
    brought = (base.sent, base.received) if base else (account.dm_used, account.dm_received)
    counters = {"dmUsed": account.dm_used, "dmReceived": account.dm_received}
    for (field, counted), before in zip(counters.items(), brought, strict=True):
        if counted is not None and before is not None:
            held[field] = (counted, counted - before)
    used = account.monthly_dm_used
    if used is None:
        return held
    if base is None:
        held["monthlyDmUsed"] = (used, 0)
    elif account.current_month == running_month:
        month_before = base.month_sent if base.month == running_month else 0
        if month_before is not None:
            held["monthlyDmUsed"] = (used, used - month_before)
    return held


def base_of(
    account: Account,
    months: Mapping[str, tuple[int, int]],
    running_month: str,
    known: Offset,
    backlog: Offset,
) -> LedgerBase:
    """The ``ledgerBase`` that makes the account agree, to replace an unreadable one; None for a
    counter that cannot be read either."""
    rows = (sum(sent for sent, _ in months.values()), sum(got for _, got in months.values()))
    in_month = account.current_month == running_month
    month_due = (
        months.get(running_month, (0, 0))[0]
        - _of(backlog, running_month)
        + _of(known, running_month)
    )
    return LedgerBase(
        _less(account.dm_used, rows[0] - backlog.sent + known.sent),
        _less(account.dm_received, rows[1] - backlog.received + known.received),
        running_month if in_month else "",
        _less(account.monthly_dm_used, month_due) if in_month else 0,
    )


def _less(counted: int | None, ours: int) -> int | None:
    return None if counted is None else counted - ours


def _of(offset: Offset, month: str) -> int:
    return offset.month_sent if offset.month == month else 0


def are_ours(accounts: Sequence[Difference], others: Sequence[Difference]) -> bool:
    """Whether differences of accounts were caused by counting, not by the host platform.

    A commit writes ledger, hours, days, totals and accounts together, so events lost by counting
    are also missing in the hours, in the same number. The platform changes only accounts.
    """
    lost = [
        sum(d.missing for d in others if d.place == "hours" and d.field == kind)
        for kind in (SENT, RECEIVED)
    ]
    missing = [
        sum(d.missing for d in accounts if d.field == field) for field in ("dmUsed", "dmReceived")
    ]
    return lost == missing and lost != [0, 0]


def drift(differences: Sequence[Difference]) -> int:
    """The number of events by which counters differ: the maximum over all places.

    An event that is missing in all four places counts as one.
    """
    off: Counter[str] = Counter()
    for difference in differences:
        off[difference.place] += abs(difference.missing)
    return max(off.values(), default=0)
