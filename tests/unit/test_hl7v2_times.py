"""HL7 times."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge_adapters.hl7v2.times import find_zone, read_date, read_offset, read_time, write_time

TOKYO = find_zone("Asia/Tokyo")


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026", datetime(2026, 1, 1, tzinfo=TOKYO)),
        ("202603", datetime(2026, 3, 1, tzinfo=TOKYO)),
        ("20260304", datetime(2026, 3, 4, tzinfo=TOKYO)),
        ("2026030405", datetime(2026, 3, 4, 5, tzinfo=TOKYO)),
        ("202603040506", datetime(2026, 3, 4, 5, 6, tzinfo=TOKYO)),
        ("20260304050607.89", datetime(2026, 3, 4, 5, 6, 7, 890000, tzinfo=TOKYO)),
        ("20260304050607-0530", datetime(2026, 3, 4, 10, 36, 7, tzinfo=UTC)),
        ("202603040506+0000", datetime(2026, 3, 4, 5, 6, tzinfo=UTC)),
    ],
)
def test_precisions(value: str, moment: datetime) -> None:
    """A time of any precision is aware: in its own offset, else in the zone given."""
    assert read_time(value, TOKYO) == moment


@pytest.mark.parametrize(
    "value", ["", "26", "20261301", "20260230", "2026030425", "today", "20260304T05", "20260304+9", "٢٠٢٦"]
)
def test_no_times(value: str) -> None:
    """What is no time is None, never an error."""
    assert read_time(value, UTC) is None


def test_dates() -> None:
    """A birth date is the day as written, whatever its offset; a year alone is no day."""
    assert read_date("19600102233000-0800") == date(1960, 1, 2)
    assert read_date("1960") is None


def test_offsets() -> None:
    """An offset is found where there is one and makes sense."""
    assert read_offset("20260304+0130") == timezone(timedelta(minutes=90))
    assert read_offset("20260304") is None
    assert read_offset("20260304+9900") is None


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_what_is_written_is_read(moment: datetime) -> None:
    """A time that is sent comes back to the second."""
    assert read_time(write_time(moment), TOKYO) == moment.replace(microsecond=0)


@given(st.text(max_size=20))
def test_any_text(value: str) -> None:
    """Any text is a time or none."""
    read_time(value, UTC)
    read_date(value)
    read_offset(value)
