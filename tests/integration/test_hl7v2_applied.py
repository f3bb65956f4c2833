"""Application acknowledgements of what really became of a message: a journal, a processor, sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from structlog.testing import capture_logs

from radbridge.config import Hl7v2, Site
from radbridge.flow.intake import JournalIntake, state_topic
from radbridge.flow.process import Processor
from radbridge.journal import Journal, dead, messages
from radbridge.journal.schema import MessageState
from radbridge.metrics import Metrics
from radbridge_adapters.hl7v2 import wire
from radbridge_adapters.hl7v2.framing import encode
from tests.support.mllp import PATIENCE_S, Peer, connect, numbered, until


def asking(number: int, *, bad: bool = False) -> bytes:
    """The report under control id `N<number>`, which wants both answers. A `bad` one can't be translated."""
    head, rest = numbered(number).split(b"\r", 1)
    fields = head.split(b"|")
    fields += [b""] * (18 - len(fields))
    fields[14:16] = [b"AL", b"AL"]
    if bad:  # an accession that only the whole message names: no group of its own does
        fields[8], rest = b"ORM^O01", b"PID|1||900001\rIPC|ACC1\r"
    return b"|".join(fields) + b"\r" + rest


@asynccontextmanager
async def talking(
    folder: Path, *, applies: bool = True, begin: asyncio.Event | None = None, **settings: float
) -> AsyncIterator[tuple[Peer, Journal]]:
    """A sender's connection to a listener with all behind it that applies messages, where given from `begin` on."""
    journal, metrics = await Journal.open(f"sqlite:///{folder}/radbridge.db"), Metrics()

    def wake() -> None:
        processor.alarm.ring()

    desk = JournalIntake(journal, metrics, wake)
    patient: dict[str, object] = {"listen": "127.0.0.1:0", "application_ack_s": 600.0}
    built = wire(Site(hl7v2=Hl7v2.model_validate(patient | settings)), desk)
    processor = Processor(
        journal,
        {built.name: built.translate},
        settle_s=0.0,
        metrics=metrics,
        on_change=lambda: None,
        on_end=lambda id: desk.bells.ring(state_topic(id)),
    )

    async def work() -> None:
        if begin is not None:
            await begin.wait()
        await processor.run()

    (listener,) = built.listeners
    await listener.start()
    working = asyncio.create_task(work()) if applies else None
    try:
        async with connect(listener) as peer:
            yield peer, journal
    finally:
        await listener.stop()
        if working:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        await journal.close()


async def read(peer: Peer, blocks: int) -> bytes:
    data = b""
    while data.count(b"\x1c\r") < blocks:
        data += await asyncio.wait_for(peer.reader.read(65536), PATIENCE_S)
    return data


async def test_applied_and_not(tmp_path: Path) -> None:
    """AA says that a message was applied, AE that it never will be; then it waits for a person as a dead letter."""
    async with talking(tmp_path) as (peer, journal):
        await peer.send(encode(asking(1)))
        assert [await peer.answer(), await peer.answer()] == [("CA", "N1", ""), ("AA", "N1", "")]
        await peer.send(encode(asking(2, bad=True)))
        assert [await peer.answer(), await peer.answer()] == [("CA", "N2", ""), ("AE", "N2", "207")]
        (letter,) = journal.read_now(lambda conn: dead.everything(conn, 10))
        assert (letter.id, letter.state) == ("m2", "failed")


async def test_the_same_after_a_restart(tmp_path: Path) -> None:
    """Whoever repeats a message after a restart gets both answers again, byte for byte."""
    async with talking(tmp_path) as (peer, _):
        await peer.send(encode(asking(1)))
        first = await read(peer, 2)
    async with talking(tmp_path) as (peer, _):
        await peer.send(encode(asking(1)))
        assert await read(peer, 2) == first


async def test_answered_after_a_restart(tmp_path: Path) -> None:
    """A message that was taken in, and not applied before the gateway ended, is answered when it is repeated."""
    async with talking(tmp_path, applies=False) as (peer, _):
        await peer.send(encode(asking(1)))
        assert await peer.answer() == ("CA", "N1", "")
    async with talking(tmp_path) as (peer, _):
        await peer.send(encode(asking(1)))
        assert [await peer.answer(), await peer.answer()] == [("CA", "N1", ""), ("AA", "N1", "")]


async def test_an_answer_that_comes_too_late(tmp_path: Path) -> None:
    """After `application_ack_s` a sender hears no more of its message by itself, and all of it when it repeats it."""
    begin = asyncio.Event()
    with capture_logs() as told:
        async with talking(tmp_path, begin=begin, application_ack_s=0.05) as (peer, journal):
            await peer.send(encode(asking(1)))
            assert await peer.answer() == ("CA", "N1", "")
            await until(lambda: any(line["event"] == "application_ack_late" for line in told))
            begin.set()
            await until(lambda: journal.read_now(lambda conn: messages.state_of(conn, 1)) is MessageState.DONE)
            await peer.send(encode(numbered(2)))
            assert await peer.answer() == ("AA", "N2", "")
            await peer.send(encode(asking(1)))
            assert [await peer.answer(), await peer.answer()] == [("CA", "N1", ""), ("AA", "N1", "")]
