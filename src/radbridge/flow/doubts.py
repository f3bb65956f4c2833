"""Sends of which nobody knows what came, and what is done so that no stale draft stays at a peer by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from radbridge.flow.lane import Lane
from radbridge.journal import deliveries, drafts
from radbridge.journal.buckets import bucket_of
from radbridge.journal.deliveries import Delivery
from radbridge.journal.locks import Lock, hold, is_gone
from radbridge.journal.schema import DeliveryState, Purpose
from radbridge.journal.types import clean

_GOES = frozenset((DeliveryState.PENDING, DeliveryState.CONFIRMED))
"""What is at its destination, or will be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """A send whose end isn't noted, or which maybe arrived while another gateway had its lease.

    That one may have taken the draft back before.
    """

    delivery: Delivery
    sender: str
    """Whose send it was."""
    mine: bool
    """Else it is found in the journal, and its gateway is gone."""
    sent: bool = True
    """False where it is known that nothing left, or left while the lease was kept: only its mark is to go."""
    left: bool = True
    """False where it is known that nothing left: it counts as no try, and the peer can't have seen it by that."""


def find_orphans(conn: Connection, lane: Lane) -> list[Doubt]:
    """The sends to a destination whose gateways ended over them: killed, maybe, just when the bytes had left."""
    sent = deliveries.find_sent_by_others(conn, lane.name, me=lane.me)
    found = [d for d in sent if lane.share.has(bucket_of(clean(d.key.accession)))]
    gone = {id for id in {s for d in found for s in d.senders} - {lane.me} if is_gone(conn, id)}
    return [Doubt(delivery=d, sender=s, mine=False) for d in found for s in d.senders if s in gone]


def make_good(conn: Connection, items: Sequence[Doubt]) -> list[None]:
    """Have no draft stay at a peer that got it, maybe, after another gateway had taken it back there.

    Under no lease, for it is the other's. A draft that stands needs nothing: what takes it back will come behind it.
    """
    now = datetime.now(UTC)
    for doubt in items:
        delivery = doubt.delivery
        key, places = delivery.key, [delivery.destination]
        hold(conn, Lock.CASE, [key.accession])
        if not doubt.left:
            deliveries.undo_begin(conn, delivery, doubt.sender)
        is_open = deliveries.forget_send(conn, delivery, doubt.sender)
        if not doubt.sent or not (doubt.mine or is_open):
            continue
        standing, others = drafts.current_id(conn, key), deliveries.of_case(conn, key)
        if delivery.purpose is Purpose.DRAFT:
            if standing == delivery.draft_id or (not doubt.mine and any(_follows(d, delivery) for d in others)):
                continue
            deliveries.put(conn, places, Purpose.WITHDRAWAL, key, delivery.draft_id, at=now, urgent=delivery.urgent)
        if delivery.purpose is Purpose.WITHDRAWAL and any(
            d.control_id == delivery.control_id and d.state is DeliveryState.PENDING for d in others
        ):
            continue  # it goes out again, and what is behind it hasn't left yet
        # It takes the newer draft away with it, where a peer has one place for both.
        if standing is not None and any(
            (d.draft_id, d.destination) == (standing, delivery.destination) and d.state in _GOES for d in others
        ):
            deliveries.put(conn, places, Purpose.DRAFT, key, standing, at=now, urgent=delivery.urgent)
    return [None] * len(items)


def _follows(waiting: Delivery, sent: Delivery) -> bool:
    """Whether this takes a draft back, and was never sent: it goes out behind whatever left before."""
    is_its_withdrawal = waiting.purpose is Purpose.WITHDRAWAL and waiting.draft_id == sent.draft_id
    is_to_come = waiting.state is DeliveryState.PENDING and waiting.is_fresh
    return is_its_withdrawal and is_to_come and waiting.destination == sent.destination
