"""The findings of ``dmstats doctor`` about accounts with unreadable or unchangeable documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dmstats.db.audit.differences import OddDocument
from dmstats.db.audit.odd_documents import OddDocuments
from dmstats.db.counting.backlog_drain import AccountBacklog
from dmstats.ops.findings import Finding, passed, warning

VALUES = (
    "These values are shown as unknown, and the audit skips such counters. Convert them to the "
    "types listed in docs/operations.md."
)
REFUSED = (
    "Their DMs are in the global figures and in dmstats_account_backlog, but not yet in the "
    "account. Fix the document so that it satisfies its validator and unique indexes, and its "
    "counters are numbers. The DMs are then added within two minutes."
)


def account_findings(documents: OddDocuments, backlog: AccountBacklog) -> Iterator[Finding]:
    """Accounts with values that the last audit could not read, then accounts whose documents cannot
    be updated."""
    listed = documents.listed()
    if listed is not None and listed[0]:
        number, first = listed
        more = f", and {number - len(first):,} more" if number > len(first) else ""
        yield warning("accounts", f"values that cannot be read: {named(first)}{more}", VALUES)
    elif listed is not None:
        yield passed("accounts", "all values are readable")
    if waiting := backlog.waiting():
        found = "; ".join(
            f"{each.account}: {each.sent:,} sent, {each.received:,} received ({each.reason})"
            for each in waiting
        )
        yield warning("account backlog", f"accounts that cannot be updated: {found}", REFUSED)
    else:
        yield passed("account backlog", "all accounts can be updated")


def named(odd: Sequence[OddDocument]) -> str:
    """Documents by their ``_id``, each with its fields."""
    return "; ".join(f"_id {each.key}: {', '.join(each.fields)}" for each in odd)
