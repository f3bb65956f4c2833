"""Dead letters, paused destinations and sequence numbers, on each database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, select

from radbridge.case import CaseKey
from radbridge.draft import DraftState
from radbridge.errors import ConfigError
from radbridge.flow.breaker import Breaker
from radbridge.journal import Journal, cases, dead, deliveries, destinations, drafts, messages, sequences
from radbridge.journal.dead import Act
from radbridge.journal.destinations import DestinationState, Order
from radbridge.journal.schema import DeliveryState, MessageState, Purpose, audit_pending
from radbridge.journal.sequences import Numbered
from radbridge.wire import Rejected
from radbridge_adapters.hl7v2.compose import specimen
from tests.support.journals import received

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
act = partial(Act, actor="night", via="test")


def put(
    conn: Connection, control_id: str, state: MessageState, accession: str = "A1", touches: tuple[str, ...] = ()
) -> str:
    """A message that ended so; its id as an operator sees it."""
    (stored,) = messages.accept(conn, [received(control_id, control_id.encode(), accession=accession, touches=touches)])
    messages.settle(conn, stored.id, state, "why")
    return f"m{stored.id}"


def state_of(conn: Connection, id: str) -> MessageState | None:
    return messages.state_of(conn, int(id[1:]))


def test_a_message_is_applied_again(conn: Connection) -> None:
    """A message that an operator retries waits to be applied as if it had just come; one that is done can't be."""
    ids = [put(conn, name, MessageState(name), f"A{n}") for n, name in enumerate(("failed", "quarantined", "done"))]
    dead.retry(conn, [act(id=ids[1])])
    with pytest.raises(ConfigError, match="nothing of that id"):
        dead.retry(conn, [act(id=ids[2])])
    assert state_of(conn, ids[1]) is MessageState.ACCEPTED
    assert [one.id for one in dead.everything(conn, 9)] == [ids[0]]


def test_an_overtaken_message(conn: Connection) -> None:
    """An old text isn't applied over a newer one of its case unless an operator insists; other cases don't matter."""
    old = put(conn, "old", MessageState.FAILED)
    other = put(conn, "other", MessageState.FAILED, accession="A2")
    put(conn, "new", MessageState.DONE)
    with pytest.raises(ConfigError, match="later message of its case"):
        dead.retry(conn, [act(id=old)])
    dead.retry(conn, [act(id=other), act(id=old, force=True)])
    assert state_of(conn, old) is MessageState.ACCEPTED


@pytest.mark.parametrize(
    ("old", "new", "is_overtaken"),
    [
        pytest.param(("A1", ("A2",)), ("A1", ()), True, id="its own case"),
        pytest.param(("A1", ("A2",)), ("A2", ()), True, id="one that it touches"),
        pytest.param(("A1", ()), ("A1", ("A2",)), True, id="by a message of several"),
        pytest.param(("A1", ()), ("A2", ("A1",)), True, id="by a message of another that touches it"),
        pytest.param(("A1", ()), ("A2", ("A11", "A_")), False, id="by none whose name begins alike"),
        pytest.param(("A1", ("A2",)), ("A3", ("A2",)), True, id="one that both touch"),
        pytest.param(("A1", ("A2",)), ("A3", ("A4",)), False, id="neither"),
        pytest.param(("", ("P:1",)), ("", ("P:1",)), True, id="a patient"),
        pytest.param(("", ("P:1",)), ("", ("P:2", "P:1")), True, id="a patient who was merged"),
        pytest.param(("", ("P:1",)), ("", ("P:2",)), False, id="another patient"),
    ],
)
def test_overtaken_in_any_of_its_cases(
    conn: Connection, old: tuple[str, tuple[str, ...]], new: tuple[str, tuple[str, ...]], is_overtaken: bool
) -> None:
    """A message about several cases is overtaken by a later message of any of them, whatever else that is about."""
    ids = [
        put(conn, name, state, accession, touches)
        for name, state, (accession, touches) in (
            ("old", MessageState.QUARANTINED, old),
            ("new", MessageState.DONE, new),
        )
    ]
    if is_overtaken:
        with pytest.raises(ConfigError, match="later message of its case"):
            dead.retry(conn, [act(id=ids[0])])
    else:
        dead.retry(conn, [act(id=ids[0])])
    assert (state_of(conn, ids[0]) is MessageState.QUARANTINED) is is_overtaken


def refuse(conn: Connection) -> None:
    rejected = Rejected(wire="hl7v2", peer="p", reason="cut", detail="d", control_id="X", raw=b"x", size=1, ack=b"AE")
    messages.reject(conn, [rejected])


def test_rejected_messages(conn: Connection) -> None:
    """What was never taken in can't be applied, only dropped; the same bytes twice, too, and they may come again."""
    for _ in range(2):
        refuse(conn)
    first, second = (one.id for one in dead.everything(conn, 9))
    with pytest.raises(ConfigError, match="sent again"):
        dead.retry(conn, [act(id=first, force=True)])
    dead.drop(conn, [act(id=first, reason="a test"), act(id=second)])
    refuse(conn)
    assert [one.state for one in dead.everything(conn, 9)] == ["rejected"]


def test_dropped(conn: Connection) -> None:
    """What was dropped waits for nobody and is kept with who dropped it; a repeat of it is still a duplicate."""
    id = put(conn, "bad", MessageState.FAILED)
    dead.drop(conn, [act(id=id, reason="made by a test")])
    assert state_of(conn, id) is MessageState.DROPPED
    assert dead.everything(conn, 9) == []
    (again,) = messages.accept(conn, [received("bad", b"bad")])
    assert not again.new
    said = conn.execute(select(audit_pending.c.document)).scalars().all()
    assert any(b"dropped" in note and b"night" in note and b"made by a test" in note for note in said)


def queue(conn: Connection, accession: str) -> str:
    """A draft's delivery that was refused."""
    case, draft = specimen()
    key = CaseKey(accession=accession)
    cases.save(conn, replace(case, key=key))
    drafts.add(conn, key, replace(draft, id=accession), DraftState.CURRENT)
    deliveries.put(conn, ["d"], Purpose.DRAFT, key, accession, at=NOW)
    (waiting,) = deliveries.of_case(conn, key)
    deliveries.begin(conn, waiting, b"payload", at=NOW)
    deliveries.end(conn, waiting, DeliveryState.REFUSED, "AR")
    return f"d{waiting.seq}"


def test_a_delivery_goes_again(conn: Connection) -> None:
    """A refused delivery waits again with the same bytes and id; one whose draft was taken back can only be dropped."""
    first, second = queue(conn, "A1"), queue(conn, "A2")
    drafts.close(conn, "A2", DraftState.WITHDRAWN, "changed")
    dead.retry(conn, [act(id=first)])
    (waiting,) = deliveries.of_case(conn, CaseKey(accession="A1"))
    assert (waiting.state, waiting.payload, waiting.nacks, waiting.attempts) == ("pending", b"payload", 0, 1)
    with pytest.raises(ConfigError, match="doesn't stand any more"):
        dead.retry(conn, [act(id=second, force=True)])
    dead.drop(conn, [act(id=second)])
    assert dead.everything(conn, 9) == []


@pytest.mark.parametrize("id", ["", "17", "m", "m0", "x1", "m1;--", "m99999999999999999999"])
def test_no_such_id(conn: Connection, id: str) -> None:
    """What is no id is an error that says what ids look like."""
    with pytest.raises(ConfigError, match=r"m17 or d9|nothing of that id"):
        dead.show(conn, id)


def test_an_operators_order(conn: Connection) -> None:
    """Pausing and resuming are noted with who and why; what is so already changes nothing."""
    pause = Order(name="d", state=DestinationState.PAUSED, actor="night", via="test", reason="upgrade")
    (paused,) = destinations.order(conn, [pause])
    assert paused is not None
    assert (paused.is_paused, paused.reason, paused.actor) == (True, "upgrade", "night")
    assert destinations.order(conn, [pause]) == [None]
    destinations.order(conn, [replace(pause, state=DestinationState.ACTIVE, reason="")])
    assert not destinations.load(conn, "d").is_paused
    assert len(conn.execute(select(audit_pending.c.seq)).all()) == 2


def test_health_and_orders_are_apart(conn: Connection) -> None:
    """What a destination's answers say of it outlives a pause, and the other way round."""
    breaker = Breaker(after=1, first_s=30)
    health = breaker.failed(destinations.hold(conn, "d", NOW).health, NOW, answered=True)
    destinations.note_health(conn, "d", health)
    destinations.order(conn, [Order(name="d", state=DestinationState.PAUSED, actor="night", via="test")])
    assert destinations.load(conn, "d").health == health
    assert health.open_until == NOW + timedelta(seconds=30)


def numbered(number: int, name: str, *, enforce: bool = True) -> Numbered:
    message = received(name, name.encode())
    return Numbered(
        received=message,
        number=number,
        enforce=enforce,
        answer=lambda following: b"next %d" % following,
        refuse=lambda expected: Rejected(
            wire="hl7v2", peer="p", reason="out_of_sequence", detail="", raw=name.encode(), size=1, ack=b"%d" % expected
        ),
    )


def test_sequence_numbers(conn: Connection) -> None:
    """A number and its message stand or fall together, in one transaction with others of the same sender too."""
    said = [numbered(4, "a"), numbered(5, "b"), numbered(7, "d"), numbered(6, "c"), numbered(5, "b")]
    placed = sequences.accept(conn, said)
    assert [one.ack for one in placed] == [b"next 5", b"next 6", b"6", b"next 7", b"next 6"]
    assert [one.accepted is not None for one in placed] == [True, True, False, True, True]


async def test_two_at_once(journal: Journal) -> None:
    """Whoever changes a destination at the same moment as another loses nothing: each failure is counted."""
    breaker = Breaker(after=1000, first_s=1)

    def fail(conn: Connection, items: Sequence[int]) -> list[None]:
        for _ in items:
            health = destinations.hold(conn, "d", NOW).health
            destinations.note_health(conn, "d", breaker.failed(health, NOW, answered=True))
        return [None] * len(items)

    lines = (journal.write, journal.write_first)
    await asyncio.gather(*(lines[n % 2](fail, n) for n in range(40)))
    assert journal.read_now(lambda conn: destinations.load(conn, "d")).health.failures == 40
