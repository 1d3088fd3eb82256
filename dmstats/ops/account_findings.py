"""What ``flask doctor`` says about accounts whose documents cannot be read whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dmstats.db.audit.differences import OddDocument
from dmstats.db.audit.odd_documents import OddDocuments
from dmstats.ops.findings import Finding, passed, warning

CHECK = "accounts"
TEXT_ID = (
    "Webhooks name accounts by text: no DM is counted for a number, and one creates a second "
    "account. Store instagramId as a text, for example with "
    'db.instagram_accounts.updateMany({instagramId: {$type: "number"}}, '
    '[{$set: {instagramId: {$toString: {$toLong: "$instagramId"}}}}]).'
)
VALUES = (
    "These values are shown as unknown, and counters among them are not compared. Set them to the "
    "types that docs/operations.md names."
)


def account_findings(documents: OddDocuments) -> Iterator[Finding]:
    """Ids that are no text, looked up now; then all that the last audit listed."""
    ids = documents.without_text_id()
    if ids:
        yield warning(CHECK, f"instagramId is no text: {named(ids)}", TEXT_ID)
    listed = documents.listed()
    if listed is not None and listed[0]:
        number, first = listed
        more = f", and {number - len(first):,} more" if number > len(first) else ""
        yield warning(CHECK, f"values that cannot be read: {named(first)}{more}", VALUES)
    elif not ids:
        yield passed(CHECK, "all values can be read" if listed else "all ids are texts")


def named(odd: Sequence[OddDocument]) -> str:
    """Documents by their ``_id``, each with its fields."""
    return "; ".join(f"_id {each.key}: {', '.join(each.fields)}" for each in odd)
