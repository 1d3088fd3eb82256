"""What each incident means and what to do about it, as shown on its page.

docs/operations.md has the same at length, under the heading ``section``.
"""

from __future__ import annotations

import msgspec

from dmstats.ops.incidents import CANARIES, DRIFT, FAILING, NEW_NAME, RULE, SILENT, kind_of


class Runbook(msgspec.Struct, frozen=True):
    """``title`` in plain words, and the steps in their order."""

    title: str
    steps: tuple[str, ...]
    section: str


RUNBOOKS = {
    FAILING: Runbook(
        "Deliveries fail",
        (
            "Nothing is lost yet: Meta retries for 36 hours.",
            "After an hour of failures Meta may disable the webhook.",
            "Run `dmstats doctor`: it says which part does not work.",
            "If MongoDB has no primary, bring one back. If its disk is full, free space.",
            "If the hour has passed, open the Meta app, Webhooks, Instagram, and subscribe again.",
        ),
        "DmstatsMetaCutOff",
    ),
    SILENT: Runbook(
        "No deliveries arrive",
        (
            "Run `dmstats doctor --url` with the public address: it tests address and certificate.",
            "Look in the Meta app whether the webhook is still subscribed.",
            "If both are fine, it is a quiet half-hour.",
        ),
        "DmstatsWebhookSilent",
    ),
    CANARIES: Runbook(
        "Test events do not come back",
        (
            "The log's `canary_lost` says where they stop: at the webhook, or on the stream.",
            "At the webhook: look at address, certificate and proxy.",
            "On the stream: look at ADMIN_API_TOKEN and STATS_MAX_STREAMS; a proxy may buffer.",
        ),
        "DmstatsCanaryLost",
    ),
    DRIFT: Runbook(
        "The counters differ from the ledger",
        (
            "Run `dmstats audit`: it lists the differences by hour, day, account and total.",
            "`dmstats audit --repair` corrects the counters from the ledger.",
            "Find the cause: a restored backup, or a program that writes our counters.",
        ),
        "DmstatsDrift",
    ),
    NEW_NAME: Runbook(
        "Events of a new name",
        (
            "The page Deliveries lists the names with the names of their fields.",
            "Look in Meta's changelog for the webhook field. Unknown events are counted as such.",
            "If events are rejected, report the name and its fields: Meta may have changed them.",
        ),
        "DmstatsEventsRejected",
    ),
    RULE: Runbook(
        "A rule was met",
        (
            "An admin made this rule on the page Alerts; the text says which figure it is about.",
            "Look at the figure on the overview, and on the chart what else happened at that time.",
            "If the rule is met too often, delete it there and make another one.",
        ),
        "Alert rules",
    ),
}


def runbook_of(name: str) -> Runbook:
    """The runbook of the incident ``name``, which another version may have recorded."""
    title = name.replace("_", " ").capitalize()
    return RUNBOOKS.get(kind_of(name)) or Runbook(title, (), "By symptom")
