"""The findings of ``dmstats doctor`` about accounts with unreadable values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dmstats.db.audit.differences import OddDocument
from dmstats.db.audit.odd_documents import OddDocuments
from dmstats.ops.findings import Finding, passed, warning

CHECK = "accounts"
TEXT_ID = (
    "Webhooks identify accounts by a string. DMs are not counted on a document with a numeric "
    "instagramId; the first one creates a second account. Convert the ids, for example with "
    'db.instagram_accounts.updateMany({instagramId: {$type: "number"}}, '
    '[{$set: {instagramId: {$toString: {$toLong: "$instagramId"}}}}]).'
)
VALUES = (
    "These values are shown as unknown, and the audit skips such counters. Convert them to the "
    "types listed in docs/operations.md."
)


def account_findings(documents: OddDocuments) -> Iterator[Finding]:
    """Accounts whose id is not a string, queried now; then those that the last audit listed."""
    ids = documents.without_text_id()
    if ids:
        yield warning(CHECK, f"instagramId is not a string: {named(ids)}", TEXT_ID)
    listed = documents.listed()
    if listed is not None and listed[0]:
        number, first = listed
        more = f", and {number - len(first):,} more" if number > len(first) else ""
        yield warning(CHECK, f"values that cannot be read: {named(first)}{more}", VALUES)
    elif not ids:
        yield passed(CHECK, "all values are readable" if listed else "all ids are strings")


def named(odd: Sequence[OddDocument]) -> str:
    """Documents by their ``_id``, each with its fields."""
    return "; ".join(f"_id {each.key}: {', '.join(each.fields)}" for each in odd)
