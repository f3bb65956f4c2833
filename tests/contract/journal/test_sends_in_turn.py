"""From one send to the next, on each database: what is composed ahead, and what a delivery costs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine, event

from radbridge.case import Case, CaseKey
from radbridge.draft import DraftImpression
from radbridge.flow import ahead, results
from radbridge.flow.courier import Courier
from radbridge.flow.results import Sending
from radbridge.journal import Journal, cases, deliveries
from radbridge.metrics import Metrics
from radbridge.testing import MemorySink
from tests.support.delivering import NAME, HeldSink, queue
from tests.support.sharing import at_work, until

PATIENCE_S = ahead.PATIENCE_S
"""In operation: here a fixture makes it longer."""
MOST_STATEMENTS = 8
"""For a delivery, on average. Five are needed, and some to read ahead; it were fourteen when each look was its own."""


def courier(journal: Journal, sink: MemorySink) -> Courier:
    return Courier(journal, sink, max_attempts=3, metrics=Metrics(), poll_s=0.02)


def states(journal: Journal, *accessions: str) -> list[str]:
    """Of each case's deliveries."""
    found = journal.read_now(lambda conn: [deliveries.of_case(conn, CaseKey(accession=one)) for one in accessions])
    return [str(delivery.state) for of_case in found for delivery in of_case]


async def put(journal: Journal, *accessions: str) -> None:
    """A draft of each is to be delivered, in this order."""
    for accession in accessions:
        await journal.write(queue, (accession, datetime.now(UTC)))


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is said to any database meanwhile."""
    said: list[str] = []

    def note(_conn: object, _cursor: object, sql: str, *_: object) -> None:
        said.append(sql)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_what_a_delivery_costs(journal: Journal) -> None:
    """A peer that says yes is delivered to with few statements a delivery, in the order of the queue."""
    names = [f"A{n}" for n in range(60)]
    await put(journal, *names)
    sink = MemorySink(NAME)
    with statements() as said:
        async with at_work(courier(journal, sink).run):
            await until(lambda: len(sink.sent) == len(names))
    assert [payload.split()[1].decode() for _, payload in sink.sent] == names
    assert len(said) < MOST_STATEMENTS * len(names)


def rename(conn: Connection, items: Sequence[str]) -> list[None]:
    """The patient of each case has another number now."""
    for accession in items:
        case = cases.load(conn, CaseKey(accession=accession))
        assert case is not None
        cases.save(conn, replace(case, patient=replace(case.patient, id="900099")))
    return [None] * len(items)


async def test_a_case_that_changes_behind_its_message(journal: Journal) -> None:
    """What was composed while another message waited for its answer is composed again if its case was saved since."""
    await put(journal, "A1", "A2", "A3")
    sink = HeldSink()
    async with at_work(courier(journal, sink).run):
        await until(lambda: sink.composed == ["A1", "A2", "A3"])
        await journal.write(rename, "A2")
        sink.answering.set()
        await until(lambda: states(journal, "A1", "A2", "A3") == ["confirmed"] * 3)
    assert [payload.split()[0] for _, payload in sink.sent] == [b"A1", b"A2", b"A3"]
    assert sink.sent[1][1] == b"A2 900099"
    assert sink.sent[2][1] != b"A3 900099"


class Stuck(MemorySink):
    """Can't write one of them down before it is let go."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self.going = threading.Event()
        self.asked = 0

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        if case.key.accession == "A2":
            self.asked += 1
            self.going.wait()
        return super().compose(case, draft, control_id)


async def test_a_composer_that_hangs(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a send is noted at once, though what comes next can't be composed yet; that is composed once."""
    assert PATIENCE_S <= 0.1  # for so long a kill has a yes forgotten
    monkeypatch.setattr(ahead, "PATIENCE_S", PATIENCE_S)
    await put(journal, "A1", "A2")
    sink = Stuck()
    async with at_work(courier(journal, sink).run):
        try:
            await until(lambda: states(journal, "A1", "A2") == ["confirmed", "pending"])
        finally:
            sink.going.set()
        await until(lambda: states(journal, "A1", "A2") == ["confirmed"] * 2)
    assert (len(sink.tried), sink.asked) == (2, 1)


async def test_a_fault_in_the_next(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours in the begin of a send costs the send before it nothing: that isn't sent a second time."""
    begin, faults = results._begin, list[object]()  # noqa: SLF001 - where a fault would be

    def trip(conn: Connection, lane: object, look: object, ready: results.Ready, now: object) -> Sending | None:
        if ready.delivery.key.accession == "A2" and not faults:
            faults.append(ready)
            raise ValueError("a fault of ours")
        return begin(conn, lane, look, ready, now)  # type: ignore[arg-type]  # what it got is passed on

    monkeypatch.setattr(results, "_begin", trip)
    monkeypatch.setattr("radbridge.flow.courier.TRIPPED_S", 0.01)
    await put(journal, "A1", "A2")
    sink = MemorySink(NAME)
    async with at_work(courier(journal, sink).run):
        await until(lambda: states(journal, "A1", "A2") == ["confirmed"] * 2)
    assert faults
    assert [payload.split()[1] for _, payload in sink.tried] == [b"A1", b"A2"]
