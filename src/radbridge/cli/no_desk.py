"""A desk at which nothing is taken in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn, Self

from sqlalchemy import Connection

from radbridge.case import CaseKey
from radbridge.errors import RadBridgeError
from radbridge.flow.holding import SoleHolder
from radbridge.journal.bells import LocalBells
from radbridge.meter import WireMeter
from radbridge.metrics import Metrics
from radbridge.wire import Bells, Desk, Holder, Item, Mount, Operation, Received, Rejected, Result, Status


class NoDesk(Desk, Status):
    """For wires and an HTTP port that are made but never started. It is its own store."""

    @property
    def store(self) -> Self:
        return self

    @property
    def bells(self) -> Bells:
        return LocalBells()

    @property
    def holder(self) -> Holder:
        return SoleHolder()

    @property
    def meter(self) -> WireMeter:
        return Metrics()

    @property
    def mounts(self) -> Sequence[Mount]:
        return ()

    async def readiness(self) -> NoReturn:
        raise _NOTHING

    def metrics_page(self) -> NoReturn:
        raise _NOTHING

    def put(self, received: Received) -> NoReturn:
        raise _NOTHING

    async def outcome_of(self, message_id: int, *, at_most_s: float) -> NoReturn:
        raise _NOTHING

    async def keep_reply(self, message_id: int, reply: bytes) -> NoReturn:
        raise _NOTHING

    async def accept(self, received: Received) -> NoReturn:
        raise _NOTHING

    async def reject(self, rejected: Rejected) -> NoReturn:
        raise _NOTHING

    async def commit(self, operation: Operation[Item, Result], item: Item) -> NoReturn:
        raise _NOTHING

    def count(self, wire: str, kind: str, outcome: str) -> NoReturn:
        raise _NOTHING

    async def draft_of(self, key: CaseKey, findings_digest: str, *, at_most_s: float) -> NoReturn:
        raise _NOTHING

    async def read(self, query: Callable[[Connection], Result]) -> NoReturn:
        raise _NOTHING

    def read_now(self, query: Callable[[Connection], Result]) -> NoReturn:
        raise _NOTHING

    async def write(self, operation: Operation[Item, Result], item: Item) -> NoReturn:
        raise _NOTHING

    async def write_first(self, operation: Operation[Item, Result], item: Item) -> NoReturn:
        raise _NOTHING


_NOTHING = RadBridgeError("nothing is taken in during a check")
