"""MSH-13: messages of a sender that numbers them are taken in one after the other (2.5.1, chapter 2.10.1)."""

from __future__ import annotations

import asyncio
import re
from functools import partial

import structlog

from radbridge.journal import sequences
from radbridge.journal.sequences import Numbered
from radbridge.wire import Accepted, Desk, Received, Rejected
from radbridge_adapters.hl7v2.header import Header
from radbridge_adapters.hl7v2.reception import WIRE, Reception

log = structlog.get_logger(__name__)

_NUMBER = re.compile(r"-1|\d{1,15}")
REASON = "out_of_sequence"


class Sequencer:
    """Has messages committed in the order of their numbers; those without one as they come."""

    def __init__(self, reception: Reception, desk: Desk, *, enforce: bool) -> None:
        self._reception = reception
        self._desk = desk
        self._enforce = enforce

    def put(self, header: Header, received: Received) -> asyncio.Future[Accepted]:
        """Have it committed; one that is refused counts as told, with the answer that says so."""
        if not _NUMBER.fullmatch(header.sequence):
            return self._desk.put(received)
        return asyncio.ensure_future(self._place(header, received))

    async def _place(self, header: Header, received: Received) -> Accepted:
        item = Numbered(
            received=received,
            number=int(header.sequence),
            enforce=self._enforce,
            answer=partial(self._reception.accept, header),
            refuse=partial(self._refuse, header, received),
        )
        placed = await self._desk.commit(sequences.accept, item)
        if not placed.in_turn:
            log.warning(REASON, peer=received.peer, sender=received.sender, kind=received.kind)
        if placed.accepted is None:
            self._desk.count(WIRE, received.kind, f"rejected:{REASON}")
            return Accepted(id=0, ack=placed.ack, new=False)
        self._desk.count(WIRE, received.kind, "accepted" if placed.accepted.new else "duplicate")
        return placed.accepted

    def _refuse(self, header: Header, received: Received, expected: int) -> Rejected:
        return self._reception.reject(header, REASON, received.raw, received.peer, expected=expected)
