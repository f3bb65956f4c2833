"""The worst night: SIGKILL in the middle of a run (rule 1)."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from tests.support.dictation import listening
from tests.support.gateway import GatewayProcess, is_alive
from tests.support.ris import Ris

MESSAGES = 1_000
CONNECTIONS = 8


async def feed(port: int, accessions: list[str], acknowledged: set[str]) -> None:
    """Send one report an accession over one connection until it breaks; note whose AA came back."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return
    try:
        for accession in accessions:
            if accession in acknowledged:
                continue
            writer.write(b"\x0b" + Ris(accession=accession).dictated() + b"\x1c\r")
            answer = await reader.readuntil(b"\x1c\r")
            if b"\rMSA|AA|" in answer:
                acknowledged.add(accession)
    except (OSError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


async def test_kill_in_the_middle(tmp_path: Path) -> None:
    """Every acknowledged message is there, every draft is delivered, again only under its own control id.

    And the model server ends with the gateway that started it.
    """
    accessions = [f"K{n:06d}" for n in range(MESSAGES)]
    shares = [accessions[n::CONNECTIONS] for n in range(CONNECTIONS)]
    acknowledged: set[str] = set()
    async with (
        listening() as dictation,
        GatewayProcess(tmp_path, [dictation.port]) as gateway,
    ):
        half = MESSAGES // CONNECTIONS // 2
        await asyncio.gather(*(feed(gateway.hl7_port, share[:half], acknowledged) for share in shares))
        begun_with = len(acknowledged)
        async with asyncio.timeout(60):
            while not dictation.messages:  # ACKs go before drafts: without this they would all be out by then
                await asyncio.sleep(0.001)
        run = asyncio.gather(*(feed(gateway.hl7_port, share, acknowledged) for share in shares))
        async with asyncio.timeout(60):
            while len(acknowledged) < begun_with + MESSAGES // 8:
                await asyncio.sleep(0.001)
        [model_server] = gateway.children()
        gateway.kill()
        await run
        async with asyncio.timeout(120):
            while is_alive(model_server):
                await asyncio.sleep(0.1)
        before_restart = set(acknowledged)
        assert begun_with < len(before_restart) < MESSAGES, "the kill came after the run"

        begun = gateway.query(
            "SELECT control_id FROM delivery WHERE destination = 'dictation' AND state = 'pending' AND attempts > 0"
        )
        assert len(begun) <= 1, "more than one delivery to one destination was under way"

        await gateway.start()
        stored = {row[0] for row in gateway.query("SELECT accession FROM message")}
        assert before_restart <= stored

        await asyncio.gather(*(feed(gateway.hl7_port, share, acknowledged) for share in shares))
        assert len(acknowledged) == MESSAGES
        confirmed = "SELECT count(*) FROM delivery WHERE destination = 'dictation' AND state = 'confirmed'"
        await gateway.until(confirmed, MESSAGES, within_s=400)

    delivered = Counter(str(m.segment("OBR")[18]) for m in dictation.messages)
    assert set(delivered) == set(accessions)
    texts_by_id: dict[str, set[str]] = {}
    for message in dictation.messages:
        texts_by_id.setdefault(str(message.segment("MSH")[10]), set()).add(str(message))
    assert all(len(texts) == 1 for texts in texts_by_id.values()), "one control id carried two texts"
    assert len(texts_by_id) == MESSAGES, "a draft went out under two control ids"
    times = Counter(dictation.control_ids())
    repeated = {control_id: n for control_id, n in times.items() if n > 1}
    assert repeated in ({}, {begun[0][0]: 2} if begun else {}), "what the kill didn't interrupt went out again"
