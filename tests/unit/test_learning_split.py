"""What is learned from and what it is judged by: apart by time and by patient."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from radbridge.learning import TrainingReport, Use, split

reports = st.lists(
    st.builds(
        TrainingReport,
        id=st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
        order=st.integers(1, 400),
        radiologist=st.just("1001"),
        patient=st.sampled_from(["", *(f"p{n}" for n in range(12))]),
        findings=st.just("Effusion."),
        signed=st.just("Effusion."),
        use=st.sampled_from(Use),
        corrected=st.booleans(),
    ),
    max_size=80,
    unique_by=lambda report: report.order,
)


@given(reports, st.integers(0, 400))
def test_apart(given_reports: list[TrainingReport], newer_than: int) -> None:
    """All that is judged by is newer than all that is learned from, of other patients, and new to the champion."""
    parts = split(given_reports, newer_than=newer_than, least_later=4, most_later=10)
    assert all(a.order < b.order for a in (*parts.learn, *parts.dropped) for b in parts.later)
    assert all(r.order > newer_than and r.use is not Use.NONE and not r.corrected for r in parts.later)
    known = {r.patient for r in given_reports if r.order <= newer_than} - {""}
    assert known.isdisjoint({r.patient for r in parts.later})
    assert {r.patient for r in parts.learn}.isdisjoint({r.patient for r in parts.later} - {""})
    assert {r.patient for r in parts.dropped} <= {r.patient for r in parts.later}
    assert len(parts.later) <= 10


@given(reports)
def test_nothing_is_lost(given_reports: list[TrainingReport]) -> None:
    """Each report is in one part, but for what can't be judged by and was signed among the last."""
    parts = split(given_reports, least_later=4, most_later=10)
    told = [report.order for part in (parts.learn, parts.later, parts.dropped) for report in part]
    left_out = {r.order for r in given_reports} - set(told)
    assert len(told) == len(set(told))
    assert all(r.use is Use.NONE or r.corrected for r in given_reports if r.order in left_out)


def test_how_many() -> None:
    """A quarter is judged by, never less than twelve where there are as many, and never more than 48."""
    whole = [
        TrainingReport(id=f"{n:016x}", order=n, radiologist="1001", patient="", findings="A.", signed="A.")
        for n in range(1, 401)
    ]
    sizes = {count: len(split(whole[:count]).later) for count in (0, 5, 20, 100, 400)}
    assert sizes == {0: 0, 5: 5, 20: 12, 100: 25, 400: 48}
    assert [r.order for r in split(whole[:20], newer_than=15).later] == [16, 17, 18, 19, 20]
