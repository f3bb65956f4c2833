"""The style memory through the worst night: SIGKILL while it learns, corrections, withdrawals, and no patient in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from radbridge.contract import RESPONSE, DraftResponse
from radbridge.draft import Stage
from tests.support.gateway import GatewayProcess
from tests.support.http_peer import Asked, HttpPeer, answer, run_peer
from tests.support.ris import Ris

SIGNED = 40
MARKERS = ("ZQNAME", "ZQSIGN", "ZQMRN77")
KEPT = "SELECT count(*) FROM memory WHERE state = 'kept'"
WAITING = "SELECT count(*) FROM memory WHERE state = 'waiting'"


def ris(n: int) -> Ris:
    """A case of a patient and a signer whose names are markers."""
    return Ris(accession=f"A{n:06}", mrn="ZQMRN77", name="ZQNAME^JANE", signer="1001^ZQSIGN^GREGORY")


def findings(n: int) -> str:
    """A text that names the patient and that nothing else says."""
    return f"There is a nodule of {n + 3} mm. ZQNAME, MRN ZQMRN77, knows of it. Dr. ZQSIGN does too."


async def send(port: int, *messages: bytes) -> None:
    """Hand messages in over one connection, each once the one before is acknowledged."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for message in messages:
        writer.write(b"\x0b" + message + b"\x1c\r")
        assert b"\rMSA|AA|" in await reader.readuntil(b"\x1c\r")
    writer.close()


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[tuple[GatewayProcess, HttpPeer]]:
    """A gateway that isn't started yet, and its model server, which uses every example that it is sent."""

    async def draft(asked: Asked, writer: asyncio.StreamWriter) -> None:
        response = DraftResponse(
            id=asked.body["id"],
            draft="Nodule.",
            lora="base",
            model="m",
            base_digest="0" * 12,
            prompt_version="p2",
            stage=Stage.WHOLE,
            ms=1.0,
            examples=tuple(example["id"] for example in asked.body["examples"]),
        )
        await answer(200, RESPONSE.dump_python(response, mode="json"))(asked, writer)

    async with run_peer({"/v1/drafts": draft, "/readyz": answer(200, {})}) as peer:
        gateway = GatewayProcess(folder, model=f'url = "{peer.url}"\n[memory]\nwait_s = 60')
        try:
            yield gateway, peer
        finally:
            await gateway.stop()


async def kill(gateway: GatewayProcess) -> None:
    """SIGKILL, and wait for the end."""
    gateway.kill()
    assert gateway.process is not None
    await gateway.process.wait()


def documents(gateway: GatewayProcess) -> dict[str, tuple[str, bytes]]:
    """State and text of all that the table holds, by accession."""
    rows = gateway.query("SELECT accession, state, document FROM memory")
    return {accession: (state, document) for accession, state, document in rows}


async def test_killed_while_it_learns(tmp_path: Path) -> None:
    """A kill in the middle leaves no text that isn't scrubbed and loses no report; what left stays away after it.

    A corrected report is shown as corrected, a withdrawn one not at all, also when the kill follows at once.
    """
    async with site(tmp_path) as (gateway, peer):
        await gateway.start()
        reports = (ris(n).signed(f"Nodule of {n + 3} mm. ZQNAME knows.", findings(n)) for n in range(SIGNED))
        signing = asyncio.create_task(send(gateway.hl7_port, *reports))
        await gateway.until(f"SELECT ({KEPT}) > 0", 1)
        await signing
        await kill(gateway)
        for state, document in documents(gateway).values():
            assert bool(document) == (state == "kept")
            assert not [m for m in MARKERS if m.encode() in document]

        await gateway.start()
        await gateway.until(KEPT, SIGNED)
        await gateway.until(WAITING, 0)
        corrected = ris(0).signed("Scar, no nodule.", findings(0), status="C", save=2)
        await send(gateway.hl7_port, corrected, ris(1).wrong_patient())
        await gateway.until("SELECT count(*) FROM message WHERE state = 'accepted'", 0)
        await kill(gateway)
        assert "A000001" not in documents(gateway)

        await gateway.start()
        await gateway.until(KEPT, SIGNED - 1)
        peer.asked.clear()
        await send(gateway.hl7_port, ris(99).dictated("Nodules of 3 mm and of 4 mm."))
        await gateway.until("SELECT count(*) FROM draft WHERE accession = 'A000099'", 1)

    (asked,) = peer.asked_for("/v1/drafts")
    examples: list[dict[str, Any]] = asked.body["examples"]
    said = [example["impression"] for example in examples]
    assert said[0] == "Scar, no nodule."
    assert "Nodule of 3 mm." not in said
    assert "Nodule of 4 mm." not in said
    assert len(said) == 24
    everywhere = json.dumps(examples) + gateway.log
    assert not [m for m in MARKERS if m in everywhere]
    ((document,),) = gateway.query("SELECT document FROM draft WHERE accession = 'A000099'")
    drafted = json.loads(document)
    assert (drafted["examples"], drafted["memory"]) == ([e["id"] for e in examples], f"m1/{SIGNED + 1}")
