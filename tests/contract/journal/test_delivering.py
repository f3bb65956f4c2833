"""Couriers on each database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from radbridge.case import CaseKey
from radbridge.config import Delivery
from radbridge.flow import results
from radbridge.flow.holding import SoleHolder
from radbridge.flow.results import Begun, Heard, Lane, Result, Start
from radbridge.journal import deliveries, destinations
from radbridge.journal.destinations import DestinationState, Health, Order
from radbridge.journal.schema import DeliveryState
from tests.support.delivering import NAME, Line, delivering, queue, receiving

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
