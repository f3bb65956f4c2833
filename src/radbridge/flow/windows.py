"""When drafts may go out: hours of the days of a week, by the wall clock of a place. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from radbridge.config.delivery import parse_window

_DAYS = 15
"""That are looked at: two weeks, for a window that a change of clocks left out."""


class Windows:
    """The hours of one destination. None at all: always open."""

    def __init__(self, told: Sequence[str], timezone: str) -> None:
        """`told` as in the site's file: `Mon-Fri 07:00-19:00`."""
        self._windows = [parse_window(text) for text in told]
        self._zone: tzinfo = ZoneInfo(timezone)

    def wait_s(self, now: datetime) -> float:
        """Seconds until a window is open; 0: one is."""
        if not self._windows:
            return 0.0
        opening = [start for start, end in self._around(now) if now < end]
        return max(0.0, (min(opening) - now).total_seconds()) if opening else _DAYS * 86400.0

    def _around(self, now: datetime) -> Iterable[tuple[datetime, datetime]]:
        """Begin and end of each window, from the one that began yesterday on, in UTC.

        One that begins in the hour that a change of clocks skips may end before it begins: it doesn't open that day.
        """
        today = now.astimezone(self._zone).date()
        for day in (today + timedelta(days=offset) for offset in range(-1, _DAYS)):
            for window in self._windows:
                if day.weekday() in window.days:
                    last = day + timedelta(days=window.passes_midnight)
                    start = datetime.combine(day, window.start, self._zone).astimezone(UTC)
                    end = datetime.combine(last, window.end, self._zone).astimezone(UTC)
                    if start < end:
                        yield start, end
