"""The main line on a real PostgreSQL, which dies in the middle (rule 1)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

from tests.support.dictation import listening
from tests.support.gateway import GatewayProcess
from tests.support.postgres import Cluster
from tests.support.ris import Ris
from tests.support.stub_model import drafting

MESSAGES = 200
CONNECTIONS = 8
CONFIRMED = "SELECT count(*) FROM delivery WHERE destination = 'dictation' AND state = 'confirmed'"
APPLIED = "SELECT count(*), count(DISTINCT accession) FROM message WHERE state = 'done'"


class Feeder:
    """Sends one report an accession over one connection, and what got no AA again, until all have one."""

    def __init__(self, port: int, accessions: list[str]) -> None:
        self.acknowledged: set[str] = set()
        self._port = port
        self._accessions = accessions
        self.forget()

    def forget(self) -> None:
        """Nothing was refused yet."""
        self.refused = asyncio.Event()
        self.had: int | None = None
        """How many were acknowledged when the first one was refused."""

    @property
    def is_done(self) -> bool:
        """Whether every report is acknowledged."""
        return len(self.acknowledged) == len(self._accessions)

    async def run(self) -> None:
        """One answer for each message, over the one connection, whatever becomes of the database."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while not self.is_done:
            for accession in (a for a in self._accessions if a not in self.acknowledged):
                writer.write(b"\x0b" + Ris(accession=accession).dictated() + b"\x1c\r")
                code = (await reader.readuntil(b"\x1c\r")).split(b"\rMSA|")[1][:2]
                assert code in {b"AA", b"AE"}
                if code == b"AA":
                    self.acknowledged.add(accession)
                else:
                    self.had = len(self.acknowledged) if self.had is None else self.had
                    self.refused.set()
        writer.close()


def acknowledged(feeders: list[Feeder]) -> set[str]:
    return {accession for feeder in feeders for accession in feeder.acknowledged}


async def until_journal(gateway: GatewayProcess, *, answers: bool) -> None:
    """Poll `/readyz` until it says so of the journal; without it, it is 503."""
    async with asyncio.timeout(60):
        while True:
            status, body = await asyncio.to_thread(gateway.get, "/readyz")
            if status and json.loads(body)["parts"]["journal"] is answers:
                assert answers or status == 503
                return
            await asyncio.sleep(0.05)


async def lose_it_midway(cluster: Cluster, gateway: GatewayProcess, feeders: list[Feeder]) -> None:
    """`kill -9` to the database once a quarter of the messages is acknowledged; then start it again."""
    async with asyncio.timeout(60):
        while len(acknowledged(feeders)) < MESSAGES // 4:
            await asyncio.sleep(0.001)
    cluster.kill()  # here and now: while it is being killed, nobody sends
    for feeder in feeders:
        feeder.forget()
    await until_journal(gateway, answers=False)
    for _ in range(2):  # what was stored before may still be answered; then comes a refusal, and another one
        async with asyncio.timeout(60):
            await asyncio.gather(*(f.refused.wait() for f in feeders if not f.is_done))
        for feeder in feeders:
            feeder.refused.clear()
    assert len(acknowledged(feeders)) < MESSAGES
    had = [len(f.acknowledged) if f.had is None else f.had for f in feeders]
    assert [len(f.acknowledged) for f in feeders] == had, "a positive answer without a database"
    await asyncio.to_thread(cluster.start)


async def test_postgresql_dies_and_comes_back(tmp_path: Path) -> None:
    """AE while it is away, and `/readyz` 503; back by itself; nothing acknowledged is lost, and nothing is doubled."""
    accessions = [f"P{n:06d}" for n in range(MESSAGES)]
    with Cluster() as cluster:
        store = cluster.url(cluster.empty_database())
        async with (
            listening() as dictation,
            drafting() as model,
            GatewayProcess(tmp_path, [dictation.port], f'url = "{model.url}"', store=store) as up,
        ):
            await Feeder(up.hl7_port, accessions[:1]).run()
            await dictation.until(1)
            feeders = [Feeder(up.hl7_port, accessions[n::CONNECTIONS]) for n in range(CONNECTIONS)]
            runs = asyncio.gather(*(f.run() for f in feeders))
            await lose_it_midway(cluster, up, feeders)
            await runs
            await until_journal(up, answers=True)
            await up.until(CONFIRMED, MESSAGES, within_s=240)
            assert up.query(APPLIED) == [(MESSAGES, MESSAGES)]
    drafts = Counter((str(m.segment("OBR")[18]), str(m.segment("MSH")[10])) for m in dictation.messages)
    assert {accession for accession, _ in drafts} == set(accessions)
    assert len(drafts) == MESSAGES, "a draft went out under two control ids"
