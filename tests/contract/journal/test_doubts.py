"""Sends whose begin or end got no answer, on each database: what never left counts as no try, a yes stays a yes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, delete

from radbridge.case import Case, CaseKey
from radbridge.config import Delivery as Rules
from radbridge.draft import DraftImpression
from radbridge.errors import JournalLost, LeaseLost
from radbridge.flow import doubts, results
from radbridge.flow.courier import Courier
from radbridge.flow.doubts import Doubt
from radbridge.flow.holding import SoleHolder
from radbridge.flow.lane import Lane
from radbridge.flow.results import Heard, Ready, Result, Sending, Step
from radbridge.journal import Journal, audit, deliveries, destinations, heads
from radbridge.journal.deliveries import Delivery
from radbridge.journal.heads import Lines
from radbridge.journal.schema import DeliveryState
from radbridge.journal.schema import cases as case_rows
from radbridge.metrics import Metrics
from radbridge.testing import MemorySink
from tests.support.delivering import NAME, queue, withdraw
from tests.support.sharing import at_work, until

A1 = CaseKey(accession="A1")
Operation = Callable[[Connection, Sequence[object]], Sequence[object]]
ONCE = Rules(resend_unanswered=False)
LANE = Lane(name=NAME, rules=ONCE, max_attempts=3, holder=SoleHolder(), lease="deliver:d:0", me="one")


def ready(conn: Connection, accession: str) -> Ready:
    """A delivery that is composed."""
    queue(conn, [(accession, datetime.now(UTC))])
    coming = heads.coming(conn, Lines(destination=NAME), at_most=9)
    (one,) = (c for c in coming if c.delivery.key.accession == accession)
    return Ready(delivery=one.delivery, payload=b"payload", saved_at=one.saved_at)


def begin(conn: Connection, ready: Ready, lane: Lane = LANE) -> Sending | None:
    """Begin to send it, if that may be."""
    (sending,) = results.step(conn, [Step(lane=lane, held={}, ready=ready)])
    return sending


def of_a1(conn: Connection) -> Delivery:
    """The only delivery of the case."""
    (only,) = deliveries.of_case(conn, A1)
    return only


@pytest.mark.parametrize("me", ["", "one"])
def test_what_never_left(conn: Connection, me: str) -> None:
    """A send that began and never left is no try: with `resend_unanswered = false` it goes out all the same."""
    lane, first = replace(LANE, me=me), ready(conn, "A1")
    assert begin(conn, first, lane) is not None
    doubts.make_good(conn, [Doubt(delivery=first.delivery, sender=me, mine=True, sent=False, left=False)])
    undone = of_a1(conn)
    assert (undone.attempts, undone.sent_at, undone.first_sent_at, undone.senders) == (0, None, None, ())
    assert undone.payload == b""  # it is composed again, of the case as it is by then
    assert begin(conn, first, lane) is not None


def test_what_left_counts(conn: Connection) -> None:
    """A send of which only the end isn't noted stays a try."""
    first = ready(conn, "A1")
    assert begin(conn, first) is not None
    doubts.make_good(conn, [Doubt(delivery=first.delivery, sender="one", mine=True, sent=False)])
    assert of_a1(conn).attempts == 1
    assert of_a1(conn).sent_at is not None


@pytest.mark.parametrize("is_known_gone", [False, True])
def test_what_another_gateway_did_since(conn: Connection, is_known_gone: bool) -> None:
    """What never left here, and was sent or taken for sent by another gateway since, is left as that one noted it."""
    lane, first = replace(LANE, rules=Rules()), ready(conn, "A1")
    assert begin(conn, first, lane) is not None
    if is_known_gone:
        doubts.make_good(conn, [Doubt(delivery=first.delivery, sender="one", mine=False)])
    else:
        assert begin(conn, replace(first, delivery=of_a1(conn)), replace(lane, me="two")) is not None
    before = of_a1(conn)
    doubts.make_good(conn, [Doubt(delivery=first.delivery, sender="one", mine=True, sent=False, left=False)])
    after = of_a1(conn)
    assert (after.attempts, after.sent_at) == (before.attempts, before.sent_at)
    assert "one" not in after.senders


def test_when_a_yes_was_heard(conn: Connection) -> None:
    """A yes is dated by when it was heard: what began since then isn't taken for answered by it. It never goes back."""
    first, second = ready(conn, "A1"), ready(conn, "A2")
    heard = datetime.now(UTC) - timedelta(seconds=30)
    for one, at, known in ((first, heard, heard), (second, heard - timedelta(seconds=9), heard)):
        sending = begin(conn, one)
        assert sending is not None
        yes = Result(delivery=sending.delivery, state=DeliveryState.CONFIRMED, answer="AA", at=at, heard=Heard.YES)
        results.step(conn, [Step(lane=LANE, held={}, result=yes)])
        assert destinations.load(conn, NAME).health.answered_at == known


def test_a_message_without_its_case(conn: Connection) -> None:
    """What was never composed from a case isn't sent where there is no case: two unknown times are not the same."""
    first = ready(conn, "A1")
    conn.execute(delete(case_rows))
    assert begin(conn, replace(first, saved_at=None)) is None
    assert of_a1(conn).attempts == 0


class Lost(SoleHolder):
    """Another gateway has it all."""

    def fence(self, conn: Connection, held: object) -> None:
        raise LeaseLost("another gateway has it")


async def test_a_lease_that_is_lost_in_a_group(journal: Journal) -> None:
    """Of steps that are committed together, the one whose lease is lost fails alone."""
    first, second = await journal.write(lambda conn, _: [(ready(conn, "A1"), ready(conn, "A2"))], None)
    lost = Step(lane=replace(LANE, holder=Lost()), held={}, ready=second)
    ours = Step(lane=LANE, held={}, ready=first)
    found = await asyncio.gather(*(journal.write(results.step, step) for step in (lost, ours)), return_exceptions=True)
    assert isinstance(found[0], LeaseLost)
    assert isinstance(found[1], Sending)
    assert journal.read_now(of_a1).attempts == 1


def delivered(conn: Connection) -> int:
    """How often the trail tells of a delivery: of nothing else it tells here."""
    waiting, _ = audit.pending(conn)
    return waiting


@pytest.mark.parametrize("stands", [True, False])
@pytest.mark.parametrize("lost", ["begin", "end"])
async def test_no_answer(journal: Journal, monkeypatch: pytest.MonkeyPatch, lost: str, stands: bool) -> None:
    """A commit without an answer, it may stand or not, costs no second copy and no message; a yes is noted once."""
    write, failed = journal.write, list[object]()

    async def fail_once(operation: Operation, item: object) -> object:
        if failed or not isinstance(item, Step) or (item.result is None) != (lost == "begin"):
            return await write(operation, item)
        failed.append(item)
        if stands:
            await write(operation, item)
        raise JournalLost

    await journal.write(queue, ("A1", datetime.now(UTC)))
    monkeypatch.setattr(journal, "write", fail_once)
    sink = MemorySink(NAME)
    ours = Courier(journal, sink, max_attempts=3, metrics=Metrics(), rules=ONCE, me="one", poll_s=0.02)
    async with at_work(ours.run):
        await until(lambda: failed and journal.read_now(of_a1).state != "pending")
    after = journal.read_now(of_a1)
    assert (str(after.state), after.answer, after.senders) == ("confirmed", "AA", ())
    assert len(sink.tried) == 1
    assert journal.read_now(delivered) == 1


class Distrusting(SoleHolder):
    """Its lease wasn't renewed for long, and is nobody else's."""

    trusts = True

    def keeps(self, held: Mapping[str, int]) -> bool:
        """Not for sure."""
        return self.trusts


async def test_a_yes_in_a_long_outage(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A yes whose lease ran out with the database away is noted as soon as it is back, where nobody took the lease."""
    write, failed, holder = journal.write, list[object](), Distrusting(["deliver:d:0"])

    async def fail_thrice(operation: Operation, item: object) -> object:
        if len(failed) == 3 or not isinstance(item, Step) or item.result is None:
            return await write(operation, item)
        failed.append(item)
        holder.trusts = False
        raise JournalLost

    await journal.write(queue, ("A1", datetime.now(UTC)))
    monkeypatch.setattr(journal, "write", fail_thrice)
    sink = MemorySink(NAME)
    ours = Courier(journal, sink, max_attempts=3, metrics=Metrics(), lease="deliver:d:0", holder=holder, me="one")
    async with at_work(ours.run):
        await until(lambda: journal.read_now(of_a1).state != "pending")
    assert (journal.read_now(of_a1).state, len(failed), len(sink.tried)) == ("confirmed", 3, 1)


class Slow(MemorySink):
    """Composes the first one at once, the others when it may."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self.entered, self.free = threading.Event(), threading.Event()

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """As ever, and late."""
        if case.key != A1:
            self.entered.set()
            assert self.free.wait(60)
        return super().compose(case, draft, control_id)


async def test_an_end_while_the_next_is_composed(journal: Journal) -> None:
    """A gateway that is stopped before it noted a yes, since it waits for what comes next, notes it all the same."""
    for accession in ("A1", "A2"):
        await journal.write(queue, (accession, datetime.now(UTC)))
    sink = Slow()
    ours = Courier(journal, sink, max_attempts=3, metrics=Metrics(), me="one", poll_s=0.02)
    async with at_work(ours.run):
        await until(lambda: sink.sent and sink.entered.is_set())
        await asyncio.sleep(0.1)
        assert journal.read_now(of_a1).state == "pending"
    sink.free.set()
    assert journal.read_now(of_a1).state == "confirmed"


async def test_an_end_between_begin_and_send(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that is stopped while the begin of a send is committed leaves no try of what never left."""
    write, begun = journal.write, asyncio.Event()

    async def hang(operation: Operation, item: object) -> object:
        answer = await write(operation, item)
        if isinstance(item, Step):
            begun.set()
            await asyncio.Event().wait()
        return answer

    await journal.write(queue, ("A1", datetime.now(UTC)))
    monkeypatch.setattr(journal, "write", hang)
    sink = MemorySink(NAME)
    ours = Courier(journal, sink, max_attempts=3, metrics=Metrics(), rules=ONCE, me="one", poll_s=0.02)
    async with at_work(ours.run):
        await begun.wait()
        assert journal.read_now(of_a1).attempts == 1
    after = journal.read_now(of_a1)
    assert (after.attempts, after.sent_at, after.senders, sink.tried) == (0, None, (), [])


async def test_an_end_while_it_is_made_good(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that is stopped while it has a draft taken back once more has that done once."""
    write, made = journal.write, asyncio.Event()

    async def hang(operation: Operation, item: object) -> object:
        answer = await write(operation, item)
        if isinstance(item, Doubt) and not made.is_set():
            made.set()
            await asyncio.Event().wait()
        return answer

    await journal.write(queue, ("A1", datetime.now(UTC)))
    doubt = Doubt(delivery=journal.read_now(of_a1), sender="one", mine=True)
    await journal.write(withdraw, "A1")
    monkeypatch.setattr(journal, "write", hang)
    ours = Courier(journal, MemorySink(NAME), max_attempts=3, metrics=Metrics(), me="one", poll_s=0.02)
    ours._doubtful.append(doubt)  # noqa: SLF001 - as a send leaves it that was cut off
    async with at_work(ours.run):
        await made.wait()
    found = journal.read_now(lambda conn: deliveries.of_case(conn, A1))
    assert [d.purpose for d in found] == ["draft", "withdrawal"]
