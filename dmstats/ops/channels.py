"""The channels for alerts: those in DMSTATS_ALERT_URL, and those that admins created."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from dmstats.core.clock import to_datetime
from dmstats.core.errors import DmstatsError
from dmstats.core.sealed import Sealer, Unsealable, is_sealed
from dmstats.core.settings import Settings
from dmstats.core.time_zones import zone
from dmstats.db.alerting import AlertingStore, StoredChannel
from dmstats.db.client import Mongo
from dmstats.ops.incidents import kind_of
from dmstats.ops.notifier import Channel, Notice, Outcome, channel_of, channels_of, kind_of_address

logger = logging.getLogger(__name__)

OWNER = "channel"
"""The owner of all sealed addresses: a channel has no id yet when its address is tested."""
UNREADABLE = "SECRET_KEY has changed: enter the address again"


class MadeChannel(Channel):
    """A channel that an admin created. ``sealer`` opens its address; ``zone`` is the time zone of
    its quiet hours."""

    def __init__(self, stored: StoredChannel, sealer: Sealer, zone: ZoneInfo) -> None:
        self.key, self.label = stored.id, stored.name
        self.stored = stored
        self._zone = zone
        self._channel: Channel | None = None
        self.address_kind = ""
        if not is_sealed(stored.sealed):
            return
        try:
            url = sealer.open(stored.sealed, OWNER)
        except Unsealable:
            return
        self._channel = channel_of(url, self.key, self.label)
        self.address_kind = kind_of_address(url)

    def notify(self, notice: Notice, incident_id: str) -> Outcome:
        if self._channel is None:
            return Outcome(told=False, problem=UNREADABLE)
        return self._channel.notify(notice, incident_id)

    def check(self) -> Outcome:
        return self._channel.check() if self._channel else Outcome(told=False, problem=UNREADABLE)

    def wants(self, incident: str) -> bool:
        return self.stored.incidents is None or kind_of(incident) in self.stored.incidents

    def is_quiet(self, now_ms: int) -> bool:
        local = to_datetime(now_ms).astimezone(self._zone)
        minute, start, end = local.hour * 60 + local.minute, *self._quiet
        return start <= minute < end if start <= end else not end <= minute < start

    @property
    def _quiet(self) -> tuple[int, int]:
        return self.stored.quiet_from, self.stored.quiet_to


def known_channels(settings: Settings, mongo: Mongo) -> ChannelList:
    """Those of the settings, and those that are stored."""
    secret_key = settings.secret_key or ""
    fixed = channels_of(settings.alert_urls, secret_key)
    return ChannelList(fixed, AlertingStore(mongo), secret_key, zone(settings.time_zone))


class ChannelList:
    """Holds all channels. While MongoDB does not answer, it keeps those that were read last."""

    def __init__(
        self, fixed: Sequence[Channel], store: AlertingStore, secret_key: str, zone: ZoneInfo
    ) -> None:
        self.fixed = list(fixed)
        self._store = store
        self._sealer = Sealer(secret_key, "alert channels")
        self._zone = zone
        self._made: list[MadeChannel] | None = None

    def current(self) -> list[Channel]:
        """All known channels, those of the setting first."""
        try:
            self._made = [self.made(stored) for stored in self._store.channels()]
        except DmstatsError as error:
            logger.info("alert_channels_not_read", extra={"reason": error.reason})
        return [*self.fixed, *(self._made or ())]

    def made(self, stored: StoredChannel) -> MadeChannel:
        """The channel of what is stored."""
        return MadeChannel(stored, self._sealer, self._zone)

    def seal(self, url: str) -> str:
        """The address as it is stored."""
        return self._sealer.seal(url, OWNER)

    @property
    def made_channels(self) -> Sequence[MadeChannel]:
        """Those that admins made, as read last."""
        return self._made or ()

    @property
    def is_complete(self) -> bool:
        """Whether the stored channels were ever read."""
        return self._made is not None
