"""Couriers on each database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, update

from radbridge.case import CaseKey
from radbridge.config import Delivery as Rules
from radbridge.draft import DraftState
from radbridge.errors import JournalLost, LeaseLost
from radbridge.flow import doubts, results
from radbridge.flow.courier import Courier
from radbridge.flow.doubts import Doubt
from radbridge.flow.holding import SoleHolder
from radbridge.flow.lane import Lane
from radbridge.flow.results import Heard, Ready, Result, Sending, Step
from radbridge.journal import Journal, cases, deliveries, destinations, drafts, heads
from radbridge.journal.buckets import bucket_of
from radbridge.journal.deliveries import Delivery
from radbridge.journal.destinations import DestinationState, Health, Order
from radbridge.journal.heads import Lines, Share
from radbridge.journal.schema import DeliveryState, Purpose
from radbridge.journal.schema import deliveries as rows
from radbridge.metrics import Metrics
from radbridge.testing import MemorySink
from radbridge.wire import Kind
from radbridge_adapters.hl7v2.compose import specimen
from tests.support.delivering import NAME, Line, delivering, queue, receiving, withdraw
from tests.support.sharing import at_work, until

A1 = CaseKey(accession="A1")
LANE = Lane(name=NAME, rules=Rules(breaker_after=2), max_attempts=3, holder=SoleHolder(), lease="deliver:d:0")


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


def ready(conn: Connection, accession: str) -> Ready:
    """A delivery that is composed."""
    queue(conn, [(accession, datetime.now(UTC))])
    (waiting,) = deliveries.of_case(conn, CaseKey(accession=accession))
    return composed(conn, waiting)


def composed(conn: Connection, delivery: Delivery) -> Ready:
    """One that waits, composed from the case as it is now."""
    coming = heads.coming(conn, Lines(destination=NAME), at_most=9)
    saved_at = next((c.saved_at for c in coming if c.delivery.control_id == delivery.control_id), None)
    return Ready(delivery=delivery, payload=b"payload", saved_at=saved_at)


def begin(conn: Connection, *ready: Ready, me: str = "") -> list[bool]:
    """Which of these sends begin."""
    lane = replace(LANE, me=me)
    return [sending is not None for sending in results.step(conn, [Step(lane=lane, held={}, ready=r) for r in ready])]


def end(conn: Connection, *ended: Result, ready: Ready | None = None) -> list[Sending | None]:
    """Note what sends came to; with the last one another begins, maybe."""
    nexts = [*[None] * (len(ended) - 1), ready]
    return results.step(conn, [Step(lane=LANE, held={}, result=r, ready=n) for r, n in zip(ended, nexts, strict=True)])


def yes(delivery: Delivery) -> Result:
    """A peer took it."""
    at = datetime.now(UTC)
    return Result(delivery=delivery, state=DeliveryState.CONFIRMED, answer="AA", at=at, heard=Heard.YES)


def test_a_pause_that_comes_in_between(conn: Connection) -> None:
    """A send that was about to begin doesn't, when its destination was paused since it was looked at."""
    waiting = ready(conn, "A1")
    destinations.order(conn, [Order(name=NAME, state=DestinationState.PAUSED, actor="night", via="test")])
    assert begin(conn, waiting) == [False]
    (untouched,) = deliveries.of_case(conn, A1)
    assert (untouched.attempts, untouched.payload) == (0, b"")


def test_one_probe_of_all(conn: Connection) -> None:
    """Of several sends that would begin behind a stop, whosever they are, one does; nobody reached gives it back."""
    even, odd = (next(f"A{n}" for n in range(99) if bucket_of(f"A{n}") % 2 == part) for part in (0, 1))
    lanes = [replace(LANE, share=Share(part, 2)) for part in (0, 1)]
    first, second = (
        Step(lane=lane, held={}, ready=ready(conn, name)) for lane, name in zip(lanes, (even, odd), strict=True)
    )
    over = Health(failures=2, open_until=datetime.now(UTC) - timedelta(seconds=1), breaker_s=30)
    destinations.hold(conn, NAME, datetime.now(UTC))
    destinations.note_health(conn, NAME, over)
    begun, refused = results.step(conn, [first, second])
    assert begun is not None
    assert refused is None
    nobody = replace(yes(begun.delivery), state=DeliveryState.PENDING, heard=Heard.NOBODY)
    assert results.step(conn, [replace(first, ready=None, result=nobody)]) == [None]
    (begun,) = results.step(conn, [second])
    assert begun is not None
    end(conn, yes(begun.delivery))
    assert destinations.load(conn, NAME).health.open_until is None


def test_cancelled_in_between(conn: Connection) -> None:
    """A send that was about to begin doesn't, when its draft was taken back since."""
    waiting = ready(conn, "A1")
    deliveries.end(conn, waiting.delivery, DeliveryState.CANCELLED, "withdrawn")
    assert begin(conn, waiting) == [False]


def test_a_draft_that_was_closed_in_between(conn: Connection) -> None:
    """A draft that doesn't stand any more isn't sent, though nobody took its delivery back; it is cancelled."""
    waiting = ready(conn, "A1")
    drafts.close(conn, "draft-A1", DraftState.WITHDRAWN, "changed")
    assert begin(conn, waiting) == [False]
    (cancelled,) = deliveries.of_case(conn, A1)
    assert (cancelled.state, cancelled.attempts) == ("cancelled", 0)


def test_saved_in_between(conn: Connection) -> None:
    """What was composed before its case was saved again isn't sent: it may show another name."""
    waiting = ready(conn, "A1")
    case = cases.load(conn, A1)
    assert case is not None
    cases.save(conn, case)
    assert begin(conn, waiting) == [False]
    assert begin(conn, composed(conn, waiting.delivery)) == [True]


def test_more_urgent_in_between(conn: Connection) -> None:
    """What was composed as the next one isn't sent once something urgent waits; that goes first."""
    waiting = ready(conn, "A1")
    queue(conn, [("A2", datetime.now(UTC))])
    deliveries.put(conn, [NAME], Purpose.DRAFT, CaseKey(accession="A2"), "draft-A2", at=datetime.now(UTC), urgent=True)
    urgent = composed(conn, deliveries.of_case(conn, CaseKey(accession="A2"))[0])
    assert begin(conn, replace(waiting, saved_at=urgent.saved_at)) == [False]
    assert begin(conn, urgent) == [True]


def test_one_commit_between_two_sends(conn: Connection) -> None:
    """With a yes the next send begins; what the same case holds comes first where its turn has come by that."""
    first, second = ready(conn, "A1"), ready(conn, "A2")
    assert begin(conn, first) == [True]
    (begun,) = end(conn, yes(first.delivery), ready=second)
    assert begun is not None
    assert begun.delivery.control_id == second.delivery.control_id
    assert [str(d.state) for d in deliveries.of_case(conn, A1)] == ["confirmed"]


@pytest.mark.parametrize("heard", [Heard.ERROR, Heard.NOTHING, Heard.NOBODY])
def test_nothing_begins_behind_a_no(conn: Connection, heard: Heard) -> None:
    """Behind an error, or silence, nothing begins in the same commit: first it is looked how the destination is."""
    first, second = ready(conn, "A1"), ready(conn, "A2")
    assert begin(conn, first) == [True]
    result = replace(yes(first.delivery), state=DeliveryState.PENDING, heard=heard)
    assert end(conn, result, ready=second) == [None]


def test_a_failure_is_forgotten_at_once(conn: Connection) -> None:
    """A yes takes a failure back however short before another yes was noted; else yes after yes is one note."""
    first, second, third = (ready(conn, name) for name in ("A1", "A2", "A3"))
    begin(conn, first)
    end(conn, yes(first.delivery))
    noted = destinations.load(conn, NAME).health
    assert (noted.failures, noted.answered_at is None) == (0, False)
    begin(conn, second)
    end(conn, yes(second.delivery))
    assert destinations.load(conn, NAME).health == noted
    destinations.note_health(conn, NAME, replace(noted, failures=1))
    begin(conn, third)
    end(conn, yes(third.delivery))
    health = destinations.load(conn, NAME).health
    assert health.failures == 0
    assert noted.answered_at is not None
    assert health.answered_at is not None
    assert health.answered_at > noted.answered_at


def test_a_row_number_that_is_given_again(conn: Connection) -> None:
    """What a send came to is never noted on another delivery that has its row number since a failover lost it."""
    lost = ready(conn, "A1")
    assert begin(conn, lost) == [True]
    conn.execute(update(rows).values(control_id="ANOTHER", attempts=0))
    result = yes(lost.delivery)
    end(conn, result, replace(result, state=DeliveryState.PENDING, heard=Heard.ERROR))
    assert begin(conn, lost) == [False]
    (other,) = deliveries.of_case(conn, A1)
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
    doubts.make_good(conn, [Doubt(delivery=ready(conn, "A1").delivery, sender="", mine=True)])
    assert len(deliveries.of_case(conn, CaseKey(accession="A1"))) == 1


@pytest.mark.parametrize("lost", ["before", "between", "behind"])
async def test_a_commit_that_was_lost(journal: Journal, monkeypatch: pytest.MonkeyPatch, lost: str) -> None:
    """A send of which a commit got no answer leaves no mark: else the next start would take its draft back again."""
    write, failed = journal.write, list[object]()
    missed = {"before": (False, True), "between": (True, True), "behind": (True, False)}[lost]

    async def fail_once(operation: Callable[[Connection, Sequence[object]], Sequence[object]], item: object) -> object:
        if failed or not isinstance(item, Step) or (item.result is not None, item.ready is not None) != missed:
            return await write(operation, item)
        failed.append(item)
        if item.result is None:
            await write(operation, item)
        for accession in ("A1", "A2"):
            await write(withdraw, accession)
        raise JournalLost

    def told() -> list[list[str]]:
        found = journal.read_now(lambda conn: [deliveries.of_case(conn, CaseKey(accession=n)) for n in ("A1", "A2")])
        return [[str(d.state) for d in of_case] for of_case in found]

    for accession in ("A1", "A2"):
        await journal.write(queue, (accession, datetime.now(UTC)))
    monkeypatch.setattr(journal, "write", fail_once)
    ours = Courier(journal, MemorySink(NAME), max_attempts=3, metrics=Metrics(), me="one", poll_s=0.02)
    back, unsent = ["cancelled", "confirmed"], ["cancelled"]
    async with at_work(ours.run):
        await until(lambda: failed and not any("pending" in states for states in told()))
    yes = ["confirmed"] * 2
    assert told() == {"before": [back, unsent], "between": [yes, unsent], "behind": [yes, yes]}[lost]
    assert journal.read_now(lambda conn: deliveries.find_sent_by_others(conn, NAME, me="two")) == []


def test_taken_back_and_not_told_yet(conn: Connection) -> None:
    """A draft whose gateway was killed over its send is taken back once where its withdrawal still waits."""
    begun = ready(conn, "A1")
    assert begin(conn, begun, me="one") == [True]
    replace_draft(conn, ["A1"])
    before = deliveries.of_case(conn, A1)
    assert [d.purpose for d in before] == [Purpose.DRAFT, Purpose.WITHDRAWAL, Purpose.DRAFT]
    doubts.make_good(conn, [Doubt(delivery=begun.delivery, sender="one", mine=False)])
    assert len(deliveries.of_case(conn, A1)) == len(before)
    assert deliveries.find_sent_by_others(conn, NAME, me="two") == []


def test_a_withdrawal_that_was_cut_off(conn: Connection) -> None:
    """A withdrawal whose gateway was killed over its send goes again, and the draft behind it once: it never left."""
    begun = ready(conn, "A1")
    assert begin(conn, begun, me="one") == [True]
    replace_draft(conn, ["A1"])
    deliveries.forget_send(conn, begun.delivery, "one")
    before = deliveries.of_case(conn, A1)
    cut_off = composed(conn, before[1])
    assert begin(conn, cut_off, me="one") == [True]
    doubts.make_good(conn, [Doubt(delivery=cut_off.delivery, sender="one", mine=False)])
    assert len(deliveries.of_case(conn, A1)) == len(before)
