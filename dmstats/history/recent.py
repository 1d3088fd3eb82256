"""The last full hours with their expected ranges, for the alert rules."""

from __future__ import annotations

from dmstats.core.clock import Clock, rfc3339
from dmstats.history.calendar import HOUR, Calendar
from dmstats.history.service import HistoryRequest, HistoryService


class RecentHours:
    """Asks ``histories`` for the hours of ``calendar``."""

    def __init__(self, histories: HistoryService, calendar: Calendar, clock: Clock) -> None:
        self._histories = histories
        self._calendar = calendar
        self._clock = clock

    def of(self, figure: str, hours: int) -> list[tuple[int, int | None, int | None]]:
        """The number of "sent" or "received" DMs in each of the last full ``hours``, oldest first,
        with the expected range, None if unknown.

        Raises :class:`~dmstats.core.errors.DmstatsError`.
        """
        end = start = self._calendar.start(HOUR, self._clock.now_ms())
        for _ in range(hours):
            start = self._calendar.start(HOUR, start - 1)
        request = HistoryRequest(
            self._calendar, from_text=rfc3339(start), to_text=rfc3339(end), unit=HOUR, band=True
        )
        found = self._histories.answer(request).decoded()
        usual = [each and each[figure] for each in found["band"]["points"]]
        return [
            (point[figure], each and each["low"], each and each["high"])
            for point, each in zip(found["points"], usual, strict=True)
        ]
