"""Couriers on each database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, update

from radbridge.case import CaseKey
from radbridge.config import Delivery
from radbridge.draft import DraftState
from radbridge.errors import JournalLost, LeaseLost
from radbridge.flow import results
from radbridge.flow.courier import Courier
from radbridge.flow.holding import SoleHolder
from radbridge.flow.results import Begun, Doubt, Heard, Lane, Result, Start
from radbridge.journal import Journal, deliveries, destinations, drafts
from radbridge.journal.destinations import DestinationState, Health, Order
from radbridge.journal.schema import DeliveryState, Purpose
from radbridge.journal.schema import deliveries as rows
from radbridge.metrics import Metrics
from radbridge.testing import MemorySink
from radbridge.wire import Kind
from radbridge_adapters.hl7v2.compose import specimen
from tests.support.delivering import NAME, Line, delivering, queue, receiving, withdraw
from tests.support.sharing import at_work, until

A1 = CaseKey(accession="A1")
LANE = Lane(name=NAME, rules=Delivery(breaker_after=2), max_attempts=3, holder=SoleHolder(), lease="deliver:d:0")


async def test_out_and_back(url: str) -> None:
    """Drafts go out over two sessions, an error is tried again, what was sent is taken back, each case in its order."""
    refused = 0

    async def script(line: Line, control_id: str) -> None:
        nonlocal refused
        refuse = line.receiver.accessions()[-1] == "A1" and refused < 2
        refused += refuse
        await line.say(control_id, "AE" if refuse else "AA")

    names = [f"A{n}" for n in range(6)]
    async with receiving(script) as receiver, delivering(url, receiver, sessions=2) as flow:
        await flow.queue(*names)
        await flow.until(lambda: flow.states(*names) == ["confirmed"] * 6)
        await flow.withdraw("A1")
        await flow.until(lambda: len(receiver.came) == 9)
        await flow.until(lambda: flow.states("A1") == ["confirmed"])
        assert len(receiver.copies("A1")) == 2
        assert [d.nacks for d in flow.of("A1")] == [2, 0]
        assert flow.place().health.failures == 0


async def test_two_gateways_and_one_breaker(url: str) -> None:
    """A destination that one gateway's sends have found silent is left alone by another one's."""

    async def script(line: Line, control_id: str) -> None:
        await line.say(control_id, "AE")

    rules = {"breaker_after": 2, "breaker_s": 600}
    async with (
        receiving(script) as receiver,
        delivering(url, receiver, **rules) as one,
        delivering(url, receiver, **rules) as other,
    ):
        await one.queue("A1", "A2")
        await one.until(lambda: other.place().health.open_until)
        sent = len(receiver.came)
        await other.queue("A3", "A4")
        await other.until(lambda: len(other.of("A4")) == 1)
        assert len(receiver.came) <= sent + 1


def start(conn: Connection, accession: str) -> Start:
    """A send that is to begin."""
    queue(conn, [(accession, datetime.now(UTC))])
    (waiting,) = deliveries.of_case(conn, CaseKey(accession=accession))
    return Start(lane=LANE, held={}, delivery=waiting, payload=b"payload")


def test_a_pause_that_comes_in_between(conn: Connection) -> None:
    """A send that was about to begin doesn't, when its destination was paused since it was looked at."""
    waiting = start(conn, "A1")
    destinations.order(conn, [Order(name=NAME, state=DestinationState.PAUSED, actor="night", via="test")])
    assert results.begin(conn, [waiting]) == [Begun.LATER]
    (untouched,) = deliveries.of_case(conn, CaseKey(accession="A1"))
    assert (untouched.attempts, untouched.payload) == (0, b"")


def test_one_probe_of_all(conn: Connection) -> None:
    """Of several sends that would begin behind a stop, whosever they are, one does; nobody reached gives it back."""
    first, second = start(conn, "A1"), start(conn, "A2")
    over = Health(failures=2, open_until=datetime.now(UTC) - timedelta(seconds=1), breaker_s=30)
    destinations.hold(conn, NAME, datetime.now(UTC))
    destinations.note_health(conn, NAME, over)
    assert results.begin(conn, [first, second]) == [Begun.YES, Begun.LATER]
    result = Result(
        lane=LANE,
        held={},
        delivery=first.delivery,
        state=DeliveryState.PENDING,
        answer="nobody",
        at=datetime.now(UTC),
        heard=Heard.NOBODY,
    )
    results.end(conn, [result])
    assert results.begin(conn, [second]) == [Begun.YES]
    results.end(conn, [replace(result, delivery=second.delivery, state=DeliveryState.CONFIRMED, heard=Heard.YES)])
    assert destinations.load(conn, NAME).health.open_until is None


def test_cancelled_in_between(conn: Connection) -> None:
    """A send that was about to begin doesn't, when its draft was taken back since."""
    waiting = start(conn, "A1")
    deliveries.end(conn, waiting.delivery, DeliveryState.CANCELLED, "withdrawn")
    assert results.begin(conn, [waiting]) == [Begun.NO]


def test_a_row_number_that_is_given_again(conn: Connection) -> None:
    """What a send came to is never noted on another delivery that has its row number since a failover lost it."""
    lost = start(conn, "A1")
    assert results.begin(conn, [lost]) == [Begun.YES]
    conn.execute(update(rows).values(control_id="ANOTHER", attempts=0))
    result = Result(
        lane=LANE,
        held={},
        delivery=lost.delivery,
        state=DeliveryState.CONFIRMED,
        answer="AA",
        at=datetime.now(UTC),
        heard=Heard.YES,
    )
    results.end(conn, [result, replace(result, state=DeliveryState.PENDING, heard=Heard.ERROR)])
    assert results.begin(conn, [lost]) == [Begun.NO]
    (other,) = deliveries.of_case(conn, CaseKey(accession="A1"))
    assert (other.state, other.attempts, other.nacks, other.answer) == ("pending", 0, 0, "")


class Losing(SoleHolder):
    """Another gateway has everything once it `is_lost`."""

    def __init__(self, *, fences: int = 99) -> None:
        """It is lost behind so many transactions."""
        super().__init__([f"deliver:{NAME}:0"])
        self.fences = fences
        self.refused = 0

    @property
    def is_lost(self) -> bool:
        return self.fences == 0

    def held(self, kind: Kind) -> Mapping[str, int]:
        return {} if self.is_lost else super().held(kind)

    def keeps(self, held: Mapping[str, int]) -> bool:
        self.refused += self.is_lost
        return not self.is_lost

    def fence(self, conn: Connection, held: Mapping[str, int]) -> None:
        if self.is_lost:
            raise LeaseLost("another gateway has it")
        self.fences -= 1


def courier(journal: Journal, sink: MemorySink, holder: Losing) -> Courier:
    return Courier(journal, sink, max_attempts=3, metrics=Metrics(), holder=holder, poll_s=0.02)


class Connecting(MemorySink):
    """A peer that takes long to be reached."""

    def __init__(self) -> None:
        super().__init__()
        self.connecting, self.connected, self.is_cut = asyncio.Event(), asyncio.Event(), False

    async def deliver(self, control_id: str, payload: bytes) -> str:
        self.connecting.set()
        try:
            await self.connected.wait()
        except asyncio.CancelledError:
            self.is_cut = True
            raise
        return await super().deliver(control_id, payload)


async def test_a_lease_that_runs_out_while_it_connects(journal: Journal) -> None:
    """A gateway that lost a destination while it was still connecting sends nothing there when it is through."""
    sink, holder = Connecting(), Losing()
    await journal.write(queue, ("A1", datetime.now(UTC)))
    async with at_work(courier(journal, sink, holder).run):
        await sink.connecting.wait()
        holder.fences = 0
        await until(lambda: sink.is_cut)
        sink.connected.set()
    assert sink.tried == []


async def test_a_lease_that_runs_out_before_a_send(journal: Journal) -> None:
    """A gateway that stood still behind the commit that begins a send, and lost the destination, doesn't send."""
    sink, holder = MemorySink(), Losing(fences=1)
    await journal.write(queue, ("A1", datetime.now(UTC)))
    async with at_work(courier(journal, sink, holder).run):
        await until(lambda: holder.refused)
    assert sink.tried == []


def replace_draft(conn: Connection, items: Sequence[str]) -> list[None]:
    """What another gateway does: the first draft is taken back, and a second one sent."""
    for accession in items:
        key, (_, draft) = CaseKey(accession=accession), specimen()
        drafts.close(conn, f"draft-{accession}", DraftState.WITHDRAWN, "changed")
        deliveries.withdraw(conn, key, f"draft-{accession}", at=datetime.now(UTC))
        drafts.add(conn, key, replace(draft, id="second"), DraftState.CURRENT)
        deliveries.put(conn, [NAME], Purpose.DRAFT, key, "second", at=datetime.now(UTC))
    return [None] * len(items)


async def test_sent_after_it_was_taken_back(journal: Journal) -> None:
    """A draft that arrived behind its own withdrawal, from a gateway that had slept, is taken back once more.

    The draft that stands goes out behind that, for it may have gone with it.
    """
    holder = Losing()

    class Sleeping(MemorySink):
        async def deliver(self, control_id: str, payload: bytes) -> str:
            await journal.write(replace_draft, "A1")
            holder.fences = 0
            return await super().deliver(control_id, payload)

    def of_case() -> list[deliveries.Delivery]:
        return journal.read_now(lambda conn: deliveries.of_case(conn, CaseKey(accession="A1")))

    await journal.write(queue, ("A1", datetime.now(UTC)))
    async with at_work(courier(journal, Sleeping(), holder).run):
        await until(lambda: len(of_case()) > 3)
    first, second = "draft-A1", "second"
    assert [(d.purpose, d.draft_id) for d in of_case()] == [
        (Purpose.DRAFT, first),
        (Purpose.WITHDRAWAL, first),
        (Purpose.DRAFT, second),
        (Purpose.WITHDRAWAL, first),
        (Purpose.DRAFT, second),
    ]


def test_sent_and_it_stands(conn: Connection) -> None:
    """A draft that was sent by a gateway which lost its lease, and that stands, stays."""
    results.make_good(conn, [Doubt(delivery=start(conn, "A1").delivery, sender="", mine=True)])
    assert len(deliveries.of_case(conn, CaseKey(accession="A1"))) == 1


@pytest.mark.parametrize("lost", [results.begin, results.end], ids=["before", "behind"])
async def test_a_commit_that_was_lost(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, lost: Callable[..., Sequence[object]]
) -> None:
    """A send of which a commit got no answer leaves no mark: else the next start would take its draft back again."""
    write, failed = journal.write, list[object]()

    async def fail_once(operation: Callable[[Connection, Sequence[object]], Sequence[object]], item: object) -> object:
        done = None if operation is results.end and not failed else await write(operation, item)
        if operation is lost and not failed:
            failed.append(item)
            await write(withdraw, "A1")
            raise JournalLost
        return done

    def told() -> list[str]:
        return [str(d.state) for d in journal.read_now(lambda conn: deliveries.of_case(conn, A1))]

    await journal.write(queue, ("A1", datetime.now(UTC)))
    monkeypatch.setattr(journal, "write", fail_once)
    ours = Courier(journal, MemorySink(NAME), max_attempts=3, metrics=Metrics(), me="one", poll_s=0.02)
    async with at_work(ours.run):
        await until(lambda: told() == ["cancelled", "confirmed"])
    assert journal.read_now(lambda conn: deliveries.find_sent_by_others(conn, NAME, me="two")) == []


def test_taken_back_and_not_told_yet(conn: Connection) -> None:
    """A draft whose gateway was killed over its send is taken back once where its withdrawal still waits."""
    begun = replace(start(conn, "A1"), lane=replace(LANE, me="one"))
    assert results.begin(conn, [begun]) == [Begun.YES]
    replace_draft(conn, ["A1"])
    before = deliveries.of_case(conn, A1)
    assert [d.purpose for d in before] == [Purpose.DRAFT, Purpose.WITHDRAWAL, Purpose.DRAFT]
    results.make_good(conn, [Doubt(delivery=begun.delivery, sender="one", mine=False)])
    assert len(deliveries.of_case(conn, A1)) == len(before)
    assert deliveries.find_sent_by_others(conn, NAME, me="two") == []


def test_a_withdrawal_that_was_cut_off(conn: Connection) -> None:
    """A withdrawal whose gateway was killed over its send goes again, and the draft behind it once: it never left."""
    begun = replace(start(conn, "A1"), lane=replace(LANE, me="one"))
    assert results.begin(conn, [begun]) == [Begun.YES]
    replace_draft(conn, ["A1"])
    deliveries.forget_send(conn, begun.delivery, "one")
    before = deliveries.of_case(conn, A1)
    cut_off = replace(begun, delivery=before[1])
    assert results.begin(conn, [cut_off]) == [Begun.YES]
    results.make_good(conn, [Doubt(delivery=cut_off.delivery, sender="one", mine=False)])
    assert len(deliveries.of_case(conn, A1)) == len(before)
