"""Reading on from a mark, while several write: nothing is left out, and nothing is told twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.case import Case, CaseKey
from radbridge.journal import cases, clock
from radbridge.journal.marks import GAP_S, Mark
from radbridge.journal.stores import Stores


@given(st.permutations(range(1, 13)), st.lists(st.integers(1, 4), min_size=12))
def test_each_number_once(order: Sequence[int], steps: Sequence[int]) -> None:
    """In whatever order numbers become visible, each is told once, and the mark ends above all of them."""
    mark, told, seen = Mark(), list[int](), list[int]()
    waiting = list(order)
    for step in steps:
        seen += [waiting.pop(0) for _ in range(min(step, len(waiting)))]
        told += sorted(mark.take([number for number in seen if number > mark.after], 0.0))
    assert sorted(told) == sorted(seen)
    if not waiting:
        assert mark.after == 12 or mark.take([n for n in seen if n > mark.after], 0.0) == set()


def test_a_number_that_never_comes() -> None:
    """A number whose transaction was given up is waited for a minute, and then no more."""
    mark = Mark()
    assert mark.take([1, 3], 0.0) == {1, 3}
    assert mark.after == 1
    assert mark.take([2, 3], GAP_S - 1) == {2}
    assert mark.after == 3
    assert mark.take([5], GAP_S) == {5}
    assert mark.take([5], 2 * GAP_S) == set()
    assert mark.after == 5


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_change_that_is_committed_late(stores: Stores) -> None:
    """A case's time of change is the database's, so a reader that goes back to when it was made finds what came late.

    In operation that is five seconds; here, as long as the machine took.
    """
    with stores.writer.connect() as slow, stores.writer.connect() as fast:
        began = clock.now(slow)
        cases.save(slow, Case(key=CaseKey(accession="A1")))
        cases.save(fast, Case(key=CaseKey(accession="A2")))
        fast.commit()
        with stores.connect() as conn:
            [(first, at)] = cases.changed_since(conn, (clock.now(conn) - timedelta(hours=1), "", ""), 9)
        assert first.key.accession == "A2"
        assert at >= began
        slow.commit()
    with stores.connect() as conn:
        found = cases.changed_since(conn, (began, "", ""), 9)
        assert [case.key.accession for case, _ in found] == ["A1", "A2"]
        assert began <= found[0][1] <= at
        assert abs(clock.now(conn) - datetime.now(UTC)) < timedelta(minutes=1)
