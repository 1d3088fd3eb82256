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
        "Deliveries are failing",
        (
            "Nothing is lost yet: Meta retries for 36 hours.",
            "After an hour of failures Meta may disable the webhook.",
            "Run `dmstats doctor` to find the failing part.",
            "If MongoDB has no primary, bring one back. If its disk is full, free space.",
            "If the hour has passed, open the Meta app, Webhooks, Instagram, and subscribe again.",
        ),
        "DmstatsMetaCutOff",
    ),
    SILENT: Runbook(
        "No deliveries arrive",
        (
            "Run `dmstats doctor --url` with the public address to test address and certificate.",
            "Check in the Meta app that the webhook is still subscribed.",
            "If both are fine, there were no messages.",
        ),
        "DmstatsWebhookSilent",
    ),
    CANARIES: Runbook(
        "Test events do not come back",
        (
            "`canary_lost` in the log shows where they stop: at the webhook, or on the stream.",
            "At the webhook: check address, certificate and proxy.",
            "On the stream: check ADMIN_API_TOKEN and STATS_MAX_STREAMS; a proxy may be buffering.",
        ),
        "DmstatsCanaryLost",
    ),
    DRIFT: Runbook(
        "The counters differ from the ledger",
        (
            "Run `dmstats audit`: it lists the differences by hour, day, account and total.",
            "`dmstats audit --repair` corrects the counters from the ledger.",
            "Find the cause, such as a restored backup or another program that writes counters.",
        ),
        "DmstatsDrift",
    ),
    NEW_NAME: Runbook(
        "Events with a new name",
        (
            "The page Deliveries lists the names and their fields.",
            "Look for the webhook field in Meta's changelog.",
            "If events are rejected, report the name and its fields: the format may have changed.",
        ),
        "DmstatsEventsRejected",
    ),
    RULE: Runbook(
        "An alert rule was met",
        (
            "An admin created this rule on the page Alerts; the text names the figure.",
            "Check the figure on the overview, and the chart and its annotations for that time.",
            "If the rule is met too often, replace it there.",
        ),
        "Alert rules",
    ),
}


def runbook_of(name: str) -> Runbook:
    """The runbook of the incident ``name``, which another version may have recorded."""
    title = name.replace("_", " ").capitalize()
    return RUNBOOKS.get(kind_of(name)) or Runbook(title, (), "By symptom")
