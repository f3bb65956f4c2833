"""FHIR's dates are ranges: `2026-11` is the whole month (R4 search.html#date)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_DATE = re.compile(
    r"(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)"
    r"(T(?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d)(\.(?P<fraction>\d{1,9}))?)?(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?"
)
FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
"""The open ends of a Period; a day from the edge, so that no zone leads over it."""


def read_range(text: str) -> tuple[datetime, datetime] | None:
    """The first moment, and the first one after, of a date of any precision; None for what is none.

    Times without a zone are taken as UTC.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    try:
        low = _low(match)
        return max(low, FIRST), min(_end(low, match), LAST)
    except (ValueError, OverflowError):
        return None


def _low(match: re.Match[str]) -> datetime:
    zone = (match["zone"] or "Z").replace("Z", "+00:00")
    fraction = (match["fraction"] or "0")[:6].ljust(6, "0")
    second = min(int(match["second"] or 0), 59)  # a leap second is no second of Python's
    day = f"{match['year']}-{match['month'] or '01'}-{match['day'] or '01'}"
    time = f"{match['hour'] or '00'}:{match['minute'] or '00'}:{second:02}.{fraction}{zone}"
    return datetime.fromisoformat(f"{day}T{time}").astimezone(UTC)


def _end(low: datetime, match: re.Match[str]) -> datetime:
    if match["fraction"]:
        return low + timedelta(microseconds=max(1, 10 ** (6 - len(match["fraction"]))))
    if match["hour"]:
        return low + (timedelta(seconds=1) if match["second"] else timedelta(minutes=1))
    if match["day"]:
        return low + timedelta(days=1)
    if match["month"]:
        return (low.replace(day=1) + timedelta(days=32)).replace(day=1)
    return low.replace(year=low.year + 1) if low.year < 9999 else LAST
