"""Two `radbridge up` on one PostgreSQL, of which one is killed, or stands still for longer than its leases."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.dictation import Dictation, listening
from tests.support.gateway import GatewayProcess
from tests.support.postgres import the_cluster
from tests.support.ris import Ris
from tests.support.stub_model import drafting

SAVES = 6
CASES = 16
OWNED = "SELECT count(DISTINCT owner) * 1000 + count(*) FROM lease WHERE name LIKE 'cases:%%' AND owner <> ''"
LEFT = "SELECT count(*) FROM message WHERE state <> 'done'"
OPEN = "SELECT (SELECT count(*) FROM draft_request) + (SELECT count(*) FROM delivery WHERE state = 'pending')"
OUT_OF_ORDER = (
    "SELECT count(*) FROM (SELECT settled_at, lag(settled_at) OVER (PARTITION BY accession ORDER BY id) AS earlier"
    " FROM message) AS told WHERE earlier > settled_at"
)
"""Two clocks that are one: both gateways run here."""


@dataclass
class Pair:
    """Two gateways and the dictation system that they deliver to."""

    gateways: tuple[GatewayProcess, GatewayProcess]
    dictation: Dictation
    acknowledged: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def report(self, accession: str, saves: Sequence[int], *, to: Sequence[int] = (0, 1)) -> None:
        """Each save in its order, to one gateway and the next in turn; to the other while one doesn't answer."""
        turn = list(to)
        for save in saves:
            raw = Ris(accession=accession).dictated(f"Nodule of {save} mm. No more.", save=save)
            while not await self._send(self.gateways[turn[0]], raw):
                turn.reverse()
                await asyncio.sleep(0.02)
            self.acknowledged += 1
            turn.reverse()

    async def _send(self, gateway: GatewayProcess, raw: bytes) -> bool:
        """Whether the message was acknowledged."""
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", gateway.hl7_port)
                writer.write(b"\x0b" + raw + b"\x1c\r")
                try:
                    return b"\rMSA|AA|" in await reader.readuntil(b"\x1c\r")
                finally:
                    writer.close()
        return False

    async def settle(self, *, through: int) -> None:
        """Wait until nothing is left to do; then hold what went out against what was told."""
        witness = self.gateways[through]
        await witness.until(LEFT, 0)
        await witness.until(OPEN, 0)
        assert witness.query(OUT_OF_ORDER) == [(0,)]
        for n in range(CASES):
            told = self.dictation.impressions(f"C{n}")
            assert told[-1] == f"Nodule of {SAVES} mm.", f"C{n}: {told}"
            assert told == sorted(told), f"C{n}: {told}"


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[Pair]:
    """Both at work, each with half of the cases."""
    cluster = the_cluster()
    store = cluster.url(cluster.database())
    async with AsyncExitStack() as stack:
        dictation = await stack.enter_async_context(listening())
        model = await stack.enter_async_context(drafting())
        gateways = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            gateway = GatewayProcess(
                folder / name,
                [dictation.port],
                f'url = "{model.url}"',
                store=store,
                more=f'[cluster]\nname = "{name}"\nlease_s = 1.5\npoll_s = 0.2\n',
            )
            gateways.append(await stack.enter_async_context(gateway))
        await gateways[0].until(OWNED, 2064)
        yield Pair((gateways[0], gateways[1]), dictation)


async def report_all(both: Pair, saves: Sequence[int]) -> None:
    """Every case at the same time."""
    await asyncio.gather(*(both.report(f"C{n}", saves, to=(n % 2, 1 - n % 2)) for n in range(CASES)))


async def some_acknowledged(both: Pair, count: int) -> None:
    """Return in the middle of the work."""
    async with asyncio.timeout(60):
        while both.acknowledged < count:
            await asyncio.sleep(0.005)


async def test_one_stands_still_and_then_dies(tmp_path: Path) -> None:
    """Stopped for longer than its leases and woken, a gateway does nothing that is the other's now.

    Killed, it leaves nothing behind: what it acknowledged the other applies, in order, and each case gets the draft of
    its last text.
    """
    async with pair(tmp_path) as both:
        still = both.gateways[1].process
        assert still is not None
        await report_all(both, [1])
        working = asyncio.create_task(report_all(both, [2]))
        await some_acknowledged(both, CASES + CASES // 4)
        still.send_signal(signal.SIGSTOP)
        try:
            await working
            await both.gateways[0].until(OWNED, 1064)
            await report_all(both, [3])
        finally:
            still.send_signal(signal.SIGCONT)
        await both.gateways[0].until(OWNED, 2064)
        working = asyncio.create_task(report_all(both, range(4, SAVES + 1)))
        await some_acknowledged(both, both.acknowledged + CASES)
        both.gateways[1].kill()
        await working
        await both.gateways[0].until(OWNED, 1064)
        await both.settle(through=0)
