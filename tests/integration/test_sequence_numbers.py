"""The sequence number protocol on a real journal, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from radbridge.config import Hl7v2, Site
from radbridge.flow.intake import JournalIntake
from radbridge.journal import Journal
from radbridge.journal.schema import messages
from radbridge.metrics import Metrics
from radbridge_adapters.hl7v2 import wire
from radbridge_adapters.hl7v2.framing import encode
from tests.support.mllp import Peer, connect, numbered


def in_place(name: int, sequence: str) -> bytes:
    """The report under control id `N<name>` with MSH-13."""
    head, rest = numbered(name).split(b"\r", 1)
    fields = head.split(b"|")
    fields += [b""] * (13 - len(fields))
    fields[12] = sequence.encode()
    return b"|".join(fields) + b"\r" + rest


@asynccontextmanager
async def talking(folder: Path, mode: str) -> AsyncIterator[tuple[Peer, Journal]]:
    """A sender's connection to a listener on a journal."""
    journal = await Journal.open(f"sqlite:///{folder}/radbridge.db")
    desk = JournalIntake(journal, Metrics(), lambda: None)
    settings = Hl7v2.model_validate({"listen": "127.0.0.1:0", "sequence": mode})
    (listener,) = wire(Site(hl7v2=settings), desk).listeners
    await listener.start()
    try:
        async with connect(listener) as peer:
            yield peer, journal
    finally:
        await listener.stop()
        await journal.close()


async def ask(peer: Peer, block: bytes) -> tuple[str, str]:
    """MSA-1 and MSA-4 of the answer to one message."""
    await peer.send(encode(block))
    msa = (await peer.answers(1))[0].first("MSA")
    assert msa is not None
    return msa.text(1), msa.text(4)


def states(journal: Journal) -> list[str]:
    return [
        row.state for row in journal.read_now(lambda conn: conn.execute(select(messages).order_by(messages.c.id)).all())
    ]


async def test_in_turn(tmp_path: Path) -> None:
    """Numbers in their order are taken in; one that comes too early or too late is refused with the expected one."""
    async with talking(tmp_path, "enforce") as (peer, journal):
        assert await ask(peer, in_place(1, "7")) == ("AA", "8")
        assert await ask(peer, in_place(2, "8")) == ("AA", "9")
        assert await ask(peer, in_place(4, "10")) == ("AE", "9")
        assert await ask(peer, in_place(3, "9")) == ("AA", "10")
        assert await ask(peer, in_place(4, "10")) == ("AA", "11")
        assert states(journal) == ["accepted", "accepted", "rejected", "accepted", "accepted"]


async def test_repeated(tmp_path: Path) -> None:
    """A message that is sent again is answered as before, though its number is long past."""
    async with talking(tmp_path, "enforce") as (peer, journal):
        first = await ask(peer, in_place(1, "1"))
        await ask(peer, in_place(2, "2"))
        assert await ask(peer, in_place(1, "1")) == first
        assert await ask(peer, in_place(3, "3")) == ("AA", "4")
        assert len(states(journal)) == 3


async def test_resynchronized(tmp_path: Path) -> None:
    """0 asks for the number that is expected, -1 takes whatever comes next; without a number nothing is asked."""
    async with talking(tmp_path, "enforce") as (peer, _):
        assert await ask(peer, in_place(1, "0")) == ("AA", "-1")
        assert await ask(peer, in_place(2, "41")) == ("AA", "42")
        assert await ask(peer, in_place(3, "0")) == ("AA", "42")
        assert await ask(peer, in_place(4, "")) == ("AA", "")
        assert await ask(peer, in_place(5, "-1")) == ("AA", "-1")
        assert await ask(peer, in_place(6, "5")) == ("AA", "6")


async def test_only_noted(tmp_path: Path) -> None:
    """With `note` a gap is no reason to refuse: it goes on from there."""
    async with talking(tmp_path, "note") as (peer, journal):
        assert await ask(peer, in_place(1, "1")) == ("AA", "2")
        assert await ask(peer, in_place(2, "5")) == ("AA", "6")
        assert states(journal) == ["accepted", "accepted"]


@pytest.mark.parametrize("at_once", [30])
async def test_many_without_waiting(tmp_path: Path, at_once: int) -> None:
    """Numbered messages that are sent without waiting for answers are all in their turn."""
    async with talking(tmp_path, "enforce") as (peer, _):
        await peer.send(b"".join(encode(in_place(n, str(n))) for n in range(1, at_once + 1)))
        answers = await asyncio.wait_for(peer.answers(at_once), 60)
        found = [answer.first("MSA") for answer in answers]
        assert [(msa.text(1), msa.text(4)) for msa in found if msa] == [
            ("AA", str(n + 1)) for n in range(1, at_once + 1)
        ]
