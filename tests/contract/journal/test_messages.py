"""Messages: stored once, answered always alike, found again by what they are about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from radbridge.journal import Journal, messages
from radbridge.journal.buckets import ALL, BUCKETS, bucket_of
from radbridge.journal.schema import MessageState
from radbridge.journal.stores import Stores, open_store
from radbridge.wire import Accepted, Received, Rejected
from tests.support.journals import DIALECTS, count, on_each, received
from tests.support.postgres import the_cluster

MESSAGES = sorted((Path(__file__).parents[2] / "messages").rglob("*.hl7"))
ANY = st.characters()
"""Halves of surrogate pairs and NUL too."""
REJECTED = Rejected(
    wire="hl7v2", peer="", reason="no_accession", detail="", control_id="1", raw=b"raw", size=3, ack=b"AE"
)


@pytest.fixture(scope="module", params=DIALECTS)
def one_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """One database for many examples, each in a transaction that is rolled back."""
    if request.param == "sqlite":
        stores = open_store(f"sqlite:///{tmp_path_factory.mktemp('journal')}/radbridge.db")
    else:
        cluster = the_cluster()
        stores = open_store(cluster.url(cluster.database()))
    yield stores
    stores.dispose()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([b"x", b"y"])), max_size=12), st.integers(1, 12))
def test_duplicates_are_told_by_sender_id_and_bytes(
    one_store: Stores, sent: list[tuple[str, bytes]], split: int
) -> None:
    """However sends are grouped into commits: each (id, bytes) is stored once, and always gets its first answer."""
    with one_store.writer.connect() as conn:
        found: list[Accepted] = []
        for start in range(0, len(sent), split):
            batch = [
                Received(wire="w", peer="", sender="S", control_id=i, kind="", raw=raw, ack=f"{n}".encode())
                for n, (i, raw) in enumerate(sent[start : start + split], start)
            ]
            found += messages.accept(conn, batch)
        assert [a.ack for a in found] == [str(sent.index(s)).encode() for s in sent]
        assert [a.new for a in found] == [sent.index(s) == n for n, s in enumerate(sent)]
        assert [a.id for a in found] == [found[sent.index(s)].id for s in sent]
        assert count(conn) == len(set(sent))
        reused = conn.exec_driver_sql("SELECT count(*) FROM message WHERE reused_id").scalar_one()
        assert reused == len(set(sent)) - len({i for i, _ in sent}) == sum(a.new and a.reused for a in found)
        assert messages.accept(conn, []) == []
        conn.rollback()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.text(ANY, max_size=30), st.binary(max_size=40), st.text(ANY, max_size=10), st.text(ANY, max_size=10))
def test_whatever_was_sent_is_stored(one_store: Stores, said: str, raw: bytes, sender: str, other: str) -> None:
    """Any text and any bytes of a sender are taken, found again, and known as the same when they come again.

    PostgreSQL takes no NUL and no half of a surrogate pair in a text; neither may turn into an endless NACK.
    """
    message = received(
        said,
        raw,
        sender=sender,
        accession=other,
        kind=said,
        peer=said,
        touches=(said, other) if said else (),
        trace=said,
    )
    with one_store.writer.connect() as conn:
        (first,) = messages.accept(conn, [message])
        (again,) = messages.accept(conn, [message])
        assert (first.new, again.new, again.id) == (True, False, first.id)
        found = messages.of_accession(conn, other)
        assert [m.raw for m in found if m.id == first.id] == [raw]
        messages.reject(conn, [replace(REJECTED, peer=said, detail=said, control_id=said, raw=raw)])
        conn.rollback()


@pytest.mark.parametrize("file", MESSAGES, ids=lambda file: file.stem)
def test_real_messages_are_stored(one_store: Stores, file: Path) -> None:
    """Each message of the collection, broken ones too, is taken with whatever its first segment says."""
    raw = file.read_bytes()
    said = raw.decode("utf-8", "surrogateescape")
    with one_store.writer.connect() as conn:
        (accepted,) = messages.accept(conn, [received(said[:200], raw, sender=said[:80], accession=said[-40:])])
        assert accepted.new
        [waiting] = messages.waiting(conn, buckets=ALL, at_most=1)
        assert waiting.raw == raw
        conn.rollback()


async def test_a_rejected_message_is_no_duplicate(journal: Journal) -> None:
    """A message that was rejected may be sent again, corrected or not, and is looked at anew."""
    for _ in range(2):
        await journal.write(messages.reject, REJECTED)
    assert (await journal.write(messages.accept, received("1"))).new


def test_waiting_is_read_without_a_mark(stores: Stores) -> None:
    """A message whose number is lower, but which is committed later, is found all the same."""
    with stores.begin() as conn:
        accepted = messages.accept(conn, [received(str(n)) for n in range(3)])
        messages.settle(conn, accepted[1].id, MessageState.DONE)
        assert [m.id for m in messages.waiting(conn, buckets=ALL, at_most=9)] == [accepted[0].id, accepted[2].id]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_ids_that_are_committed_out_of_order(stores: Stores) -> None:
    """Two gateways commit in the other order than they got their numbers: both messages are found, and each once."""
    with stores.writer.connect() as slow, stores.writer.connect() as fast:
        (first,) = messages.accept(slow, [received("1")])
        (second,) = messages.accept(fast, [received("2")])
        assert first.id < second.id
        fast.commit()
        with stores.connect() as conn:
            assert [m.id for m in messages.waiting(conn, buckets=ALL, at_most=9)] == [second.id]
        slow.commit()
    with stores.connect() as conn:
        assert [m.id for m in messages.waiting(conn, buckets=ALL, at_most=9)] == [first.id, second.id]


def test_a_gateway_reads_its_own_buckets(conn: Connection) -> None:
    """Every message is in one bucket, by its case; whoever asks for half of the buckets gets that half."""
    accepted = messages.accept(conn, [received(str(n), accession=f"A{n}") for n in range(200)])
    halves = [messages.waiting(conn, buckets=range(begin, BUCKETS, 2), at_most=1000) for begin in (0, 1)]
    assert sorted(m.id for half in halves for m in half) == [a.id for a in accepted]
    assert all(m.bucket == bucket_of(m.accession) and m.bucket % 2 == n for n, half in enumerate(halves) for m in half)
    assert all(half == sorted(half, key=lambda m: m.id) for half in halves)


@on_each
def test_without_an_accession(conn: Connection) -> None:
    """A message of no case is in the bucket of what else it is about, or of its sender."""
    merged = received("1", accession="", touches=("P:900001",))
    unsaid = received("2", accession="")
    messages.accept(conn, [merged, unsaid])
    [first, second] = messages.waiting(conn, buckets=ALL, at_most=9)
    assert (first.bucket, second.bucket) == (bucket_of("P:900001"), bucket_of("RIS"))
    assert (first.touches, second.touches) == (("P:900001",), ())


def test_urgent_ones_apart(conn: Connection) -> None:
    """The urgent messages and the others can be read apart, each in order of arrival, or together."""
    ids = [a.id for a in messages.accept(conn, [received(str(n), urgent=n % 3 == 0) for n in range(9)])]

    def read(*, urgent: bool | None) -> list[int]:
        return [m.id for m in messages.waiting(conn, buckets=ALL, at_most=5, urgent=urgent)]

    assert read(urgent=True) == ids[::3]
    assert read(urgent=False) == [id for n, id in enumerate(ids) if n % 3][:5]
    assert read(urgent=None) == ids[:5]


@on_each
def test_taken_and_applied_at_once(conn: Connection) -> None:
    """A message that is stored to be applied in the same transaction comes back as it will be read; once."""
    taken = messages.take(conn, received("1", b"x", urgent=True))
    assert taken is not None
    assert (taken.raw, taken.urgent) == (b"x", True)
    assert messages.take(conn, received("1", b"x", urgent=True)) is None


@on_each
def test_an_end_is_told_alike(conn: Connection) -> None:
    """What a sender is told of its message's end is kept before it leaves, and a repeat gets the very same."""
    (accepted,) = messages.accept(conn, [received("1")])
    assert messages.keep_reply(conn, [(accepted.id, b"AA 1"), (accepted.id, b"AE 1")]) == [b"AA 1", b"AA 1"]
    (again,) = messages.accept(conn, [received("1")])
    assert (again.ack, again.reply, again.new) == (b"AA 1", b"AA 1", False)


def test_settled(conn: Connection) -> None:
    """A message that is done waits no more, and is still known as sent."""
    (accepted,) = messages.accept(conn, [received("1")])
    messages.settle(conn, accepted.id, MessageState.DONE)
    assert messages.waiting(conn, buckets=ALL, at_most=9) == []
    assert messages.is_there(conn, received("1"))
    assert not messages.is_there(conn, received("1", b"other"))
