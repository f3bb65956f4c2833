"""A gateway that stood still in the midst of a send, sent when it went on, and was killed before it could note that."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from radbridge.case import CaseKey
from radbridge.flow.courier import Courier
from radbridge.journal import Journal, deliveries, locks
from radbridge.journal.schema import Purpose
from radbridge.metrics import Metrics
from radbridge.testing import MemorySink
from tests.support.delivering import queue, withdraw
from tests.support.late_sender import ID, LEASE
from tests.support.postgres import the_cluster
from tests.support.sharing import Member, at_work, until


@dataclass
class Sender:
    """The process that sends late."""

    process: asyncio.subprocess.Process
    folder: Path

    async def send_and_die(self) -> None:
        """It goes on."""
        (self.folder / "go").touch()
        await self.process.wait()
        assert (self.folder / "arrived").exists()


@asynccontextmanager
async def sending(journal: Journal, url: str, folder: Path) -> AsyncIterator[Sender]:
    """Return in the midst of its send."""
    await journal.write(queue, ("A1", datetime.now(UTC)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.late_sender", url, str(folder), cwd=Path(__file__).parents[3]
    )
    try:
        await until((folder / "sending").exists)
        await until(lambda: not journal.read_now(lambda conn: locks.is_gone(conn, ID)))
        yield Sender(process, folder)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize("is_sent_again", [True, False])
async def test_killed_behind_a_late_send(tmp_path: Path, is_sent_again: bool) -> None:
    """The gateway that took its work takes the draft back once more as soon as that one is gone, and not before."""
    cluster = the_cluster()
    url = cluster.url(cluster.database())
    journal = await Journal.open(url)
    other, sink = Member("two", journal), MemorySink()

    def told() -> list[tuple[Purpose, str]]:
        found = journal.read_now(lambda conn: deliveries.of_case(conn, CaseKey(accession="A1")))
        return [(d.purpose, str(d.state)) for d in found]

    first = (Purpose.DRAFT, "confirmed" if is_sent_again else "cancelled")
    back = (Purpose.WITHDRAWAL, "confirmed")
    async with sending(journal, url, tmp_path) as sender:
        await other.forget(ID)
        await other.holder.start([LEASE])
        if not is_sent_again:
            await journal.write(withdraw, "A1")
        courier = Courier(journal, sink, max_attempts=3, metrics=Metrics(), holder=other.holder, me="two", poll_s=0.02)
        async with at_work(courier.run):
            if is_sent_again:
                await until(lambda: told() == [first])
                await journal.write(withdraw, "A1")
            await until(lambda: told() == [first, back])
            await journal.write(queue, ("A2", datetime.now(UTC)))  # behind the next look for what is left open
            await until(lambda: len(sink.sent) == 2 + is_sent_again)
            assert told() == [first, back]
            await sender.send_and_die()
            await until(lambda: told() == [first, back, back])
            assert journal.read_now(lambda conn: deliveries.find_sent_by_others(conn, "dictation", me="two")) == []
    await journal.close()
