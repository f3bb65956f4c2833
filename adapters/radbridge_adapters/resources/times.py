"""FHIR's times: read with their zone, written in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

_DAY = len("2026-01-02")


def read_moment(text: str) -> datetime | None:
    """An instant or a dateTime; None for one that names no day. A day without a time begins in UTC."""
    if len(text) < _DAY:
        return None
    moment = datetime.fromisoformat(text.replace(":60", ":59") if text[16:19] == ":60" else text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def write_instant(moment: datetime) -> str:
    """To the millisecond, in UTC: `2026-01-02T03:04:05.678Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
