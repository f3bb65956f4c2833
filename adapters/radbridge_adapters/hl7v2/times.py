"""HL7 times: TS / DTM, `YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]` (2.5.1, 2.A.77)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

_TIME = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)"
    r"(?:(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?)?)?)?)?)?(?P<offset>[+-]\d{4})?",
    re.ASCII,
)


def find_zone(name: str) -> tzinfo:
    """The zone of that name; `UTC` needs no database."""
    return UTC if name == "UTC" else ZoneInfo(name)


def read_time(value: str, zone: tzinfo) -> datetime | None:
    """An aware time, in `zone` when it names no offset; None when it is empty or no time."""
    match = _TIME.fullmatch(value.strip())
    if match is None:
        return None
    try:
        return datetime(
            int(match["year"]),
            int(match["month"] or 1),
            int(match["day"] or 1),
            int(match["hour"] or 0),
            int(match["minute"] or 0),
            int(match["second"] or 0),
            int((match["fraction"] or "").ljust(6, "0")),
            tzinfo=_offset(match["offset"]) or zone,
        )
    except ValueError:
        return None


def read_date(value: str) -> date | None:
    """The day of a time, as written; None when it names no day."""
    moment = read_time(value, UTC) if len(value.strip()) >= 8 else None
    return moment.date() if moment else None


def read_offset(value: str) -> tzinfo | None:
    """The offset that a time names: MSH-7's holds for every other time of the message (2.5.1, 2.15.9.7)."""
    match = _TIME.fullmatch(value.strip())
    return _offset(match["offset"]) if match else None


def write_time(moment: datetime) -> str:
    """To the second, with its offset."""
    return moment.strftime("%Y%m%d%H%M%S%z")


def _offset(text: str | None) -> tzinfo | None:
    if not text:
        return None
    minutes = int(text[1:3]) * 60 + int(text[3:5])
    return timezone(timedelta(minutes=minutes if text[0] == "+" else -minutes)) if minutes < 24 * 60 else None
