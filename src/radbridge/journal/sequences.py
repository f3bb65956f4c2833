"""The sequence number protocol (HL7 2.5.1, chapter 2.10.1): a number and its message stand or fall together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, select

from radbridge.journal import messages
from radbridge.journal.locks import Lock, hold
from radbridge.journal.schema import sequence_numbers
from radbridge.journal.upsert import insert
from radbridge.wire import Accepted, Received, Rejected

UNKNOWN = -1
"""Of a sender who hasn't told a number yet: the next one is taken as it is."""

_EXPECTED = select(sequence_numbers.c.expected).where(sequence_numbers.c.sender == bindparam("of_sender"))
_PUT = insert(sequence_numbers)
_SET = _PUT.on_conflict_do_update(
    index_elements=["sender"], set_={"expected": _PUT.excluded.expected, "at": _PUT.excluded.at}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbered:
    """A message with the number that its sender gave it (MSH-13)."""

    received: Received
    number: int
    """0 asks which one is expected, -1 begins anew with whatever comes next."""
    enforce: bool
    """Whether one out of its turn is refused; else it is only told."""
    answer: Callable[[int], bytes] = field(repr=False)
    """The positive answer, by the number that is expected next."""
    refuse: Callable[[int], Rejected] = field(repr=False)
    """The refusal, by the number that was expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """What became of a numbered message."""

    accepted: Accepted | None
    """None: refused."""
    ack: bytes = field(repr=False)
    in_turn: bool


def accept(conn: Connection, items: Sequence[Numbered]) -> list[Placed]:
    """Store messages whose turn it is. What was stored before is answered as before, whatever its number."""
    hold(conn, Lock.SEQUENCE, (item.received.sender for item in items))
    return [_accept_one(conn, item) for item in items]


def _accept_one(conn: Connection, item: Numbered) -> Placed:
    sender = item.received.sender
    known = conn.execute(_EXPECTED, {"of_sender": sender}).scalar_one_or_none()
    expected = UNKNOWN if known is None else known
    in_turn = item.number <= 0 or expected in (UNKNOWN, item.number)
    if not in_turn and item.enforce and not messages.is_there(conn, item.received):
        rejected = item.refuse(expected)
        messages.reject(conn, [rejected])
        return Placed(accepted=None, ack=rejected.ack, in_turn=False)
    following = {0: expected, UNKNOWN: UNKNOWN}.get(item.number, item.number + 1)
    (accepted,) = messages.accept(conn, [replace(item.received, ack=item.answer(following))])
    if accepted.new:
        conn.execute(_SET, {"sender": sender, "expected": following, "at": datetime.now(UTC)})
    return Placed(accepted=accepted, ack=accepted.ack, in_turn=in_turn or not accepted.new)
