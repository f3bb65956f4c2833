"""The audit chain: any change in the middle of it is found, and a kept head finds what was cut off its end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, delete, select, update

from radbridge.audit import What
from radbridge.errors import AuditBroken
from radbridge.journal import audit
from radbridge.journal.audit import Head
from radbridge.journal.schema import audit_anchors, audit_events, audit_pending, metadata
from tests.support.trail import NOON, make_note

_COLUMNS = ("at", "what", "actor", "entity", "document", "prev", "hash")


@pytest.fixture
def conn() -> Iterator[Connection]:
    yield from _journal()


def _journal() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as made:
        yield made
    engine.dispose()


def fill(conn: Connection, count: int, first: int = 0) -> None:
    audit.note(conn, [make_note(first + n) for n in range(count)])
    while audit.chain_pending(conn, 4):
        pass


def purge_to(conn: Connection, seq: int) -> None:
    digest = conn.execute(select(audit_events.c.hash).where(audit_events.c.seq == seq)).scalar_one()
    audit.anchor(conn, Head(seq=seq, hash=digest), at=NOON, reason="retention")
    conn.execute(delete(audit_events).where(audit_events.c.seq <= seq))


def test_notes_are_chained_in_their_order_without_a_gap(conn: Connection) -> None:
    """Every note becomes one event, numbered from 1 on, and nothing waits any more."""
    fill(conn, 10)
    found = audit.verify(conn)
    assert (found.events, found.head.seq, found.pending) == (10, 10, 0)
    assert [e.note.entity.accession for e in audit.chained(conn) if e.note.entity] == [f"A{n}" for n in range(10)]


@given(seq=st.integers(1, 8), column=st.sampled_from(_COLUMNS), at=st.integers(min_value=0), bit=st.integers(0, 6))
@settings(max_examples=100, deadline=None)
def test_any_changed_byte_is_found(seq: int, column: str, at: int, bit: int) -> None:
    """Whichever column of whichever event is changed by a bit, verify stops at it, or at the one after it."""
    for conn in _journal():
        fill(conn, 8)
        was = conn.execute(select(audit_events.c[column]).where(audit_events.c.seq == seq)).scalar_one()
        if isinstance(was, bytes):
            flipped = bytearray(was)
            flipped[at % len(was)] ^= 1 << bit
            now: object = bytes(flipped)
        elif isinstance(was, str):
            where = at % len(was)
            now = was[:where] + chr(ord(was[where]) ^ 1 << bit) + was[where + 1 :]
        else:
            now = was + timedelta(microseconds=1 << bit)
        conn.execute(update(audit_events).where(audit_events.c.seq == seq).values({column: now}))
        with pytest.raises(AuditBroken) as caught:
            audit.verify(conn)
        assert caught.value.seq in (seq, seq + 1)


@given(seq=st.integers(1, 7))
@settings(max_examples=7, deadline=None)
def test_an_event_that_was_taken_out_is_found(seq: int) -> None:
    """A gap before the end is found, also when what follows is numbered anew."""
    for conn in _journal():
        fill(conn, 8)
        conn.execute(delete(audit_events).where(audit_events.c.seq == seq))
        with pytest.raises(AuditBroken, match="missing"):
            audit.verify(conn)
        for later in range(seq + 1, 9):
            conn.execute(update(audit_events).where(audit_events.c.seq == later).values(seq=later - 1))
        with pytest.raises(AuditBroken):
            audit.verify(conn)


def test_a_chain_cut_at_its_end_is_found_by_a_kept_head(conn: Connection) -> None:
    """Without a head from outside a shorter chain looks whole; with it the loss is found."""
    fill(conn, 8)
    kept = audit.head(conn)
    conn.execute(delete(audit_events).where(audit_events.c.seq > 5))
    assert audit.verify(conn).head.seq == 5
    with pytest.raises(AuditBroken, match="ends before"):
        audit.verify(conn, kept=kept)


def test_a_chain_written_anew_is_found_by_a_kept_head(conn: Connection) -> None:
    """Whoever owns the database can write a whole new chain; a head that was kept outside tells."""
    fill(conn, 8)
    kept = audit.head(conn)
    conn.execute(delete(audit_events))
    fill(conn, 9, first=100)
    audit.verify(conn)
    with pytest.raises(AuditBroken, match="isn't the event"):
        audit.verify(conn, kept=kept)


def test_a_kept_head_of_the_middle_holds(conn: Connection) -> None:
    """A head that was kept a while ago is still part of the chain."""
    fill(conn, 3)
    kept = Head.parse(str(audit.head(conn)))
    fill(conn, 3, first=3)
    assert audit.verify(conn, kept=kept).head.seq == 6
    with pytest.raises(ValueError, match="SEQ:HASH"):
        Head.parse("3:ab")


def test_a_purge_leaves_an_anchor_that_verify_begins_at(conn: Connection) -> None:
    """What stays after a purge verifies from the anchor on, before and after the chain has noted it."""
    fill(conn, 8)
    kept = audit.head(conn)
    purge_to(conn, 5)
    assert audit.verify(conn, kept=kept).anchor == 5
    audit.chain_pending(conn)
    found = audit.verify(conn, kept=kept)
    assert (found.anchor, found.events) == (5, 4)
    assert audit.chained(conn)[-1].note.what is What.CHAIN_ANCHORED


def test_a_whole_chain_may_be_purged(conn: Connection) -> None:
    """Where every event went, the next one stands on the anchor."""
    fill(conn, 4)
    purge_to(conn, 4)
    audit.chain_pending(conn)
    assert audit.verify(conn).head.seq == 5


def test_an_anchor_that_nobody_noted_is_found(conn: Connection) -> None:
    """Events can't be cut off the beginning by writing an anchor: the chain itself must speak of it."""
    fill(conn, 8)
    digest = conn.execute(select(audit_events.c.hash).where(audit_events.c.seq == 3)).scalar_one()
    conn.execute(audit_anchors.insert(), {"seq": 3, "hash": digest, "at": NOON, "reason": "retention"})
    conn.execute(delete(audit_events).where(audit_events.c.seq <= 3))
    with pytest.raises(AuditBroken, match="no purge has noted"):
        audit.verify(conn)


def test_part_of_a_chain_can_be_verified(conn: Connection) -> None:
    """From an event on, which is taken at its word about what it stands on; one that isn't there is an error."""
    fill(conn, 8)
    found = audit.verify(conn, start=5)
    assert found.events == 4
    with pytest.raises(AuditBroken, match="no such event"):
        audit.verify(conn, start=50)


def test_what_waits_is_told(conn: Connection) -> None:
    """Notes that aren't chained yet are counted, with the oldest one's time."""
    audit.note(conn, [make_note(3), make_note(1)])
    found = audit.verify(conn)
    assert (found.pending, found.oldest) == (2, NOON + timedelta(seconds=1))
    assert conn.execute(select(audit_pending.c.seq)).scalars().all() == [1, 2]


def test_a_case_is_found_by_its_accession(conn: Connection) -> None:
    """What was done with one case is read from the chain by its number."""
    fill(conn, 3)
    assert [e.seq for e in audit.of_case(conn, "A1")] == [2]
