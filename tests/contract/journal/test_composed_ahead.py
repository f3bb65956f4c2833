"""What is composed ahead, on each database: used once, not for long, and never waited for too long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial

import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from radbridge.case import Case, CaseKey
from radbridge.config import Delivery as Rules
from radbridge.draft import DraftImpression
from radbridge.flow import ahead
from radbridge.flow.ahead import AT_ONCE, Ahead
from radbridge.flow.courier import Courier
from radbridge.flow.holding import SoleHolder
from radbridge.flow.lane import Lane
from radbridge.journal import Journal, cases, deliveries, destinations
from radbridge.journal.destinations import DestinationState, Order
from radbridge.journal.heads import Coming, Look
from radbridge.journal.schema import Purpose
from radbridge.metrics import Metrics
from radbridge.testing import MemorySink
from tests.support.delivering import NAME, HeldSink, queue
from tests.support.sharing import at_work, until

LANE = Lane(name=NAME, rules=Rules(), max_attempts=3, holder=SoleHolder(), lease="deliver:d:0")


async def put(journal: Journal, *accessions: str) -> None:
    for accession in accessions:
        await journal.write(queue, (accession, datetime.now(UTC)))


async def composed(journal: Journal, sink: MemorySink, *accessions: str) -> Ahead:
    """All of these, composed ahead."""
    await put(journal, *accessions)
    guesses = Ahead(journal, sink, LANE)
    guesses.expect(await coming(journal))
    guesses.start(closed=False)
    await until(lambda: len(guesses._ready) == len(accessions))  # noqa: SLF001 - a courier takes what there is
    return guesses


async def coming(journal: Journal) -> list[Coming]:
    """What is to be composed."""
    return await journal.read(partial(LANE.coming, closed=False, at_most=AT_ONCE))


async def look(journal: Journal) -> Look:
    """What is next."""
    return await journal.read(partial(LANE.look, closed=False))


@pytest.mark.parametrize("asks", ["next", "take"])
async def test_too_old(journal: Journal, monkeypatch: pytest.MonkeyPatch, asks: str) -> None:
    """What was composed long ago isn't sent: a message says when it was made, and may show more than its case."""
    guesses = await composed(journal, MemorySink(NAME), "A1")
    head = (await look(journal)).other
    assert head is not None
    monkeypatch.setattr(ahead, "KEPT_S", 0.0)
    assert await (guesses.next() if asks == "next" else guesses.take(head)) is None


async def test_nothing_is_kept_for_a_pause(journal: Journal) -> None:
    """While a destination is paused nothing that was composed for it stays in memory."""
    await put(journal, "A1", "A2", "A3")
    sink = HeldSink()
    ours = Courier(journal, sink, max_attempts=3, metrics=Metrics(), poll_s=0.02)
    guesses = ours._ahead  # noqa: SLF001 - nothing else shows what is in memory
    async with at_work(ours.run):
        await until(lambda: sink.composed == ["A1", "A2", "A3"])
        assert guesses.known
        order = Order(name=NAME, state=DestinationState.PAUSED, actor="night", via="test")
        await journal.write(destinations.order, order)
        sink.answering.set()
        await until(lambda: not guesses.known)
    assert [payload.split()[0] for _, payload in sink.tried] == [b"A1"]


def put_urgent(conn: Connection, items: Sequence[str]) -> list[None]:
    """A draft of each that goes before all others."""
    now = datetime.now(UTC)
    for accession in items:
        queue(conn, [(accession, now)])
        key = CaseKey(accession=accession)
        (waiting,) = deliveries.of_case(conn, key)
        deliveries.put(conn, ["elsewhere"], Purpose.DRAFT, key, waiting.draft_id, at=now, urgent=True)
    return [None] * len(items)


async def test_what_gets_in_between(journal: Journal) -> None:
    """Something urgent goes first, and what was composed behind it isn't composed again for that."""
    await put(journal, "A1", "A2", "A3")
    sink = HeldSink()
    async with at_work(Courier(journal, sink, max_attempts=3, metrics=Metrics(), poll_s=0.02).run):
        await until(lambda: sink.composed == ["A1", "A2", "A3"])
        await journal.write(put_urgent, "U1")
        sink.answering.set()
        await until(lambda: len(sink.sent) == 4)
    assert [payload.split()[0] for _, payload in sink.sent] == [b"A1", b"U1", b"A2", b"A3"]
    assert sink.composed == ["A1", "A2", "A3", "U1"]


async def test_a_row_that_cannot_be_read(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault while it reads ahead is told by its type alone, and isn't met again with each send."""
    guesses, tries = await composed(journal, MemorySink(NAME), *(f"A{n}" for n in range(AT_ONCE))), 0

    def trip(*_: object, **__: object) -> list[Coming]:
        nonlocal tries
        tries += 1
        raise ValueError("planted")

    monkeypatch.setattr(Lane, "coming", trip)
    with capture_logs() as logs:
        for _ in range(AT_ONCE):
            assert await guesses.next() is not None
        for _ in range(3):
            guesses.start(closed=False)
            assert await guesses.next() is None
            await asyncio.sleep(0)
            await until(lambda: tries)
    assert tries == 1
    assert [line["reason"] for line in logs] == ["ValueError"]
    assert "planted" not in str(logs)


class Saving(MemorySink):
    """While it composes, its case is saved once more."""

    def __init__(self, save: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(NAME)
        self.save, self.loop = save, asyncio.get_running_loop()

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        asyncio.run_coroutine_threadsafe(self._save(case.key.accession), self.loop).result()
        return super().compose(case, draft, control_id)

    async def _save(self, accession: str) -> None:
        await self.save(accession)


async def test_a_case_that_is_saved_again_and_again(journal: Journal) -> None:
    """A message that is out of date each time that it is composed has the courier rest between two tries."""

    def save(conn: Connection, items: Sequence[str]) -> list[None]:
        for accession in items:
            case = cases.load(conn, CaseKey(accession=accession))
            assert case is not None
            cases.save(conn, case)
        return [None] * len(items)

    await put(journal, "A1")
    sink = Saving(partial(journal.write, save))
    ours = Courier(journal, sink, max_attempts=3, metrics=Metrics(), poll_s=0.02)
    assert await ours._deliver_next() == 0.0  # noqa: SLF001 - how long it rests can't be seen from outside
    assert await ours._deliver_next() > 0.0  # noqa: SLF001
    assert sink.tried == []
