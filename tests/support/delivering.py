"""Couriers at work on a real journal, for MLLP receivers that follow a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from radbridge.case import Case, CaseKey
from radbridge.config import Hl7Destination, Hl7v2
from radbridge.draft import DraftImpression, DraftState
from radbridge.flow.courier import Courier
from radbridge.flow.delivery import make_couriers
from radbridge.flow.holding import SoleHolder
from radbridge.journal import Journal, cases, dead, deliveries, destinations, drafts, schema
from radbridge.journal.deliveries import Delivery
from radbridge.journal.destinations import Destination, DestinationState, Order
from radbridge.journal.schema import Purpose
from radbridge.metrics import Metrics
from radbridge.testing import MemorySink
from radbridge.wire import Wire
from radbridge_adapters.hl7v2.client import read_control_id
from radbridge_adapters.hl7v2.compose import specimen
from radbridge_adapters.hl7v2.framing import Decoder, Frame, encode
from radbridge_adapters.hl7v2.sink import MllpSink

NAME = "dictation"
PATIENCE_S = 60.0

Script = Callable[["Line", str], Awaitable[None]]


def ack(control_id: str, code: str = "AA") -> bytes:
    """An answer as a block."""
    return encode(f"MSH|^~\\&|D||R||20260102||ACK|A1|P|2.5.1\rMSA|{code}|{control_id}\r".encode())


class Line:
    """One connection of a receiver."""

    def __init__(self, receiver: Receiver, number: int, writer: asyncio.StreamWriter) -> None:
        self.receiver = receiver
        self.number = number
        self.writer = writer

    async def say(self, control_id: str, code: str = "AA") -> None:
        """Answer."""
        self.receiver.open.discard(control_id)
        self.writer.write(ack(control_id, code))
        await self.writer.drain()


class Receiver:
    """Takes messages and runs a script for each; knows what arrived, where, and how many copies were open at once."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.port = 0
        self.lines = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self.came: list[tuple[int, str, bytes]] = []
        """Connection, MSH-10 and bytes of each message."""
        self.open: set[str] = set()
        self.doubled: list[str] = []
        """What came a second time while its first copy's connection was still open."""

    def accessions(self) -> list[str]:
        """OBR-18 of each message, in the order they came."""
        return [raw.decode().split("\rOBR|")[1].split("|")[17] for _, _, raw in self.came]

    def copies(self, accession: str) -> set[tuple[str, bytes]]:
        """The different messages that came for an accession."""
        return {(id, raw) for (_, id, raw), one in zip(self.came, self.accessions(), strict=True) if one == accession}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.lines += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        line, decoder, mine = Line(self, self.lines, writer), Decoder(1 << 20), set[str]()
        try:
            while data := await reader.read(65536):
                for block in decoder.feed(data):
                    assert isinstance(block, Frame)
                    control_id = read_control_id(block.payload)
                    if control_id in self.open:
                        self.doubled.append(control_id)
                    self.open.add(control_id)
                    mine.add(control_id)
                    self.came.append((line.number, control_id, block.payload))
                    await self.script(line, control_id)
        except ConnectionError:
            pass
        finally:
            self.open -= mine
            writer.close()
            self.tasks.discard(task)


@dataclass
class Delivering:
    """The journal, what goes out, and what comes of it."""

    journal: Journal
    metrics: Metrics
    receiver: Receiver

    async def queue(self, *accessions: str, at: datetime | None = None) -> None:
        """A case with a standing draft for each, to be delivered, by a clock that says `at`."""
        for accession in accessions:
            await self.journal.write(queue, (accession, at or datetime.now(UTC)))

    async def withdraw(self, accession: str) -> None:
        """Take the draft of a case back."""
        await self.journal.write(withdraw, accession)

    async def order(self, state: DestinationState) -> None:
        """What an operator does to the destination."""
        order = Order(name=NAME, state=state, actor="night", via="test", reason="upgrade")
        await self.journal.write(destinations.order, order)

    async def retry(self, id: str) -> None:
        """What an operator does about a dead letter."""
        await self.journal.write(dead.retry, dead.Act(id=id, actor="night", via="test"))

    async def age(self, by_s: float) -> None:
        """Have so much of the time that the destination is left alone be over."""

        def age(conn: Connection, items: Sequence[None]) -> list[None]:
            health = destinations.hold(conn, NAME, datetime.now(UTC)).health
            assert health.open_until is not None
            earlier = health.open_until - timedelta(seconds=by_s)
            destinations.note_health(conn, NAME, replace(health, open_until=earlier))
            return [None] * len(items)

        await self.journal.write(age, None)

    async def make_due(self, accession: str) -> None:
        """Have the pause before the next copy of a case's message be over."""

        def make_due(conn: Connection, items: Sequence[str]) -> list[None]:
            of_case = schema.deliveries.c.accession.in_(items)
            conn.execute(update(schema.deliveries).where(of_case).values(next_at=datetime.now(UTC)))
            return [None] * len(items)

        await self.journal.write(make_due, accession)

    def place(self) -> Destination:
        """What the journal knows of the destination."""
        return self.journal.read_now(lambda conn: destinations.load(conn, NAME))

    def of(self, accession: str) -> list[Delivery]:
        """The deliveries of a case."""
        return self.journal.read_now(lambda conn: deliveries.of_case(conn, CaseKey(accession=accession)))

    def states(self, *accessions: str) -> list[str]:
        """The state of each case's last delivery."""
        return [str(self.of(accession)[-1].state) for accession in accessions]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for it."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.005)


class HeldSink(MemorySink):
    """Its answers come once they may; it writes the case's accession and patient, and knows what it composed."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self.composed: list[str] = []
        self.answering = asyncio.Event()

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """`accession patient`."""
        self.composed.append(case.key.accession)
        return f"{case.key.accession} {case.patient.id}".encode()

    async def deliver(self, control_id: str, payload: bytes) -> str:
        """Keep it, and answer later."""
        code = await super().deliver(control_id, payload)
        await self.answering.wait()
        return code


def queue(conn: Connection, items: Sequence[tuple[str, datetime]]) -> list[None]:
    """A case with a standing draft that is to be delivered, for each accession and time."""
    for accession, at in items:
        case, draft = specimen()
        key, order = CaseKey(accession=accession), case.order
        case = replace(case, key=key, order=replace(order, placer=f"P{accession}", filler=accession))
        cases.save(conn, case)
        drafts.add(conn, key, replace(draft, id=f"draft-{accession}"), DraftState.CURRENT)
        deliveries.put(conn, [NAME], Purpose.DRAFT, key, f"draft-{accession}", at=at)
    return [None] * len(items)


def withdraw(conn: Connection, items: Sequence[str]) -> list[None]:
    """The draft of each case is taken back."""
    for accession in items:
        drafts.close(conn, f"draft-{accession}", DraftState.WITHDRAWN, "changed")
        deliveries.withdraw(conn, CaseKey(accession=accession), f"draft-{accession}", at=datetime.now(UTC))
    return [None] * len(items)


def count_looks(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows by one each time that a courier looks for what is due."""
    look, found = Courier._look, list[None]()  # noqa: SLF001 - nothing else shows that it looked and sent nothing

    def count(courier: Courier, known: Collection[str], conn: Connection) -> object:
        found.append(None)
        return look(courier, known, conn)

    monkeypatch.setattr(Courier, "_look", count)
    return found


@asynccontextmanager
async def receiving(script: Script) -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    receiver = Receiver(script)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        serving = tuple(receiver.tasks)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@asynccontextmanager
async def delivering(where: Path | str, receiver: Receiver, **rules: object) -> AsyncIterator[Delivering]:
    """Couriers that deliver to `receiver` by these keys of a site's file; `where` is a folder or a journal's URL."""
    said = {"name": NAME, "address": f"127.0.0.1:{receiver.port}", "ack_timeout_s": PATIENCE_S} | rules
    destination = Hl7Destination.model_validate(said)
    url = where if isinstance(where, str) else f"sqlite:///{where}/radbridge.db"
    journal, metrics = await Journal.open(url), Metrics()
    sink = MllpSink(Hl7v2(), destination, on_stray=lambda: metrics.answered_late(NAME))
    wire = Wire(name="hl7v2", translate=lambda _: [], sinks=(sink,), max_attempts={NAME: destination.max_attempts})
    names = [f"deliver:{NAME}:{n}" for n in range(destination.sessions)]
    couriers = make_couriers(journal, wire, {NAME: destination}, metrics=metrics, holder=SoleHolder(names), poll_s=0.02)
    tasks = [asyncio.create_task(courier.run()) for courier in couriers]
    try:
        yield Delivering(journal, metrics, receiver)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await sink.close()
        await journal.close()
