"""What is read to be applied: nothing without what has to go before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from radbridge.journal import messages, queue
from radbridge.journal.buckets import ALL
from radbridge.journal.stores import Stores, open_store
from radbridge.wire import Received
from tests.support.journals import received

MOST = 3
"""Messages that are read at once, of each urgency."""


def sent(*said: tuple[str, bool, tuple[str, ...]]) -> list[Received]:
    """Messages: of a case, urgent or not, that change other things besides."""
    return [
        received(str(n), b"%d" % n, accession=accession, urgent=urgent, touches=touches)
        for n, (accession, urgent, touches) in enumerate(said)
    ]


def read(conn: Connection, waiting: list[Received]) -> list[str]:
    """The control ids of what is read of it."""
    accepted = messages.accept(conn, waiting)
    ids = {row.id: message.control_id for row, message in zip(accepted, waiting, strict=True)}
    return [ids[message.id] for message in queue.read_batch(conn, buckets=ALL, at_most=MOST)]


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param([("A", True, ("B",))], id="an urgent message of two orders"),
        pytest.param([("", True, ("P:1", "P:2"))], id="an urgent merge"),
        pytest.param([("C", False, ("B",)), ("C", True, ())], id="one of two orders that an urgent one takes along"),
    ],
)
def test_a_wide_message_takes_along_what_it_may_change(
    conn: Connection, behind: list[tuple[str, bool, tuple[str, ...]]]
) -> None:
    """Behind a backlog, a message that changes several cases is never read without the earlier ones of any of them."""
    backlog: list[tuple[str, bool, tuple[str, ...]]] = [(f"Z{n}", False, ()) for n in range(MOST)]
    narrow: list[tuple[str, bool, tuple[str, ...]]] = [("B", False, ()), ("X", False, ())]
    waiting = sent(*backlog, *narrow, *behind)
    assert read(conn, waiting) == [message.control_id for message in waiting]


def test_a_narrow_urgent_message_goes_before_other_cases(conn: Connection) -> None:
    """Behind a backlog, an urgent message of one case is read with the earlier ones of that case alone."""
    backlog: list[tuple[str, bool, tuple[str, ...]]] = [(f"Z{n}", False, ()) for n in range(MOST)]
    waiting = sent(*backlog, ("A", False, ()), ("B", False, ()), ("A", True, ()))
    assert read(conn, waiting) == ["0", "1", "2", "3", "5"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """One database for many examples, each in a transaction that is rolled back."""
    opened = open_store(f"sqlite:///{tmp_path_factory.mktemp('queue')}/radbridge.db")
    yield opened
    opened.dispose()


some = st.tuples(
    st.sampled_from(["A", "B", "C", ""]), st.booleans(), st.sampled_from([(), (), (), ("A",), ("B",), ("P:1",)])
)


@settings(max_examples=100, deadline=None)
@given(st.lists(some, min_size=1, max_size=14))
def test_nothing_is_read_without_what_it_must_follow(
    store: Stores, said: list[tuple[str, bool, tuple[str, ...]]]
) -> None:
    """Whatever waits: before a message that is read, nothing of its case is left out, nor anything wide, nor by one."""
    waiting = sent(*said)
    with store.writer.connect() as conn:
        found = [int(control_id) for control_id in read(conn, waiting)]
        conn.rollback()
    for number in found:
        accession, _, touches = said[number]
        for earlier in set(range(number)) - set(found):
            other, _, also = said[earlier]
            assert not touches
            assert not also
            assert accession != other
