"""The model server on the real vLLM, as Ray Serve runs it, with a real gateway before it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from hl7.client import MLLPClient

from tests.support.dictation import Dictation, listening, parse
from tests.support.gateway import GatewayProcess
from tests.support.model_server import ModelServerProcess, await_gone, processes_of
from tests.support.ris import Ris

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1800)]

PATIENCE_S = 600
"""For a replica to be replaced: vLLM alone takes half a minute to start."""
SETTINGS = {
    "engine": "vllm",
    "max_batch": 4,
    "max_loras": 2,
    "personas": {"1001": "persona/elaborate"},
    "vllm": {"enforce_eager": True, "max_cpu_loras": 2},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ModelServerProcess, str]]:
    running = ModelServerProcess(tmp_path_factory.mktemp("server"), SETTINGS)
    url = running.wait_ready()
    yield running, url
    family = processes_of(running.process.pid)
    assert running.process.stdin
    running.process.stdin.close()  # as when the parent dies
    assert running.wait_end() == 0
    assert await_gone(family) == set()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dictation() -> AsyncIterator[Dictation]:
    async with listening() as peer:
        yield peer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    tmp_path_factory: pytest.TempPathFactory, dictation: Dictation, server: tuple[ModelServerProcess, str]
) -> AsyncIterator[GatewayProcess]:
    model = f'url = "{server[1]}"\ndeadline_s = {PATIENCE_S}.0'
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"), [dictation.port], model=model)
    await process.start()
    yield process
    assert await process.stop() == 0


async def dictate(gateway: GatewayProcess, *reports: Ris) -> None:
    """Send order and dictated report of each accession; all must be taken in."""

    def talk() -> list[str]:
        with MLLPClient("127.0.0.1", gateway.hl7_port) as client:
            said = [client.send_message(message) for ris in reports for message in (ris.order(), ris.dictated())]
        return [str(parse(answer.strip(b"\x0b\x1c\r")).segment("MSA")[1]) for answer in said]

    assert set(await asyncio.to_thread(talk)) == {"AA"}


def lora_of(gateway: GatewayProcess, accession: str) -> str:
    """The version that wrote the last draft of an accession."""
    [document] = gateway.query("SELECT document FROM draft WHERE accession = ? ORDER BY seq DESC", accession)[0]
    return str(json.loads(document)["lora"])


async def engine_of(server: ModelServerProcess) -> int:
    """The process id of vLLM's EngineCore; on a busy machine Serve may just be replacing its replica."""
    until = time.monotonic() + PATIENCE_S
    while True:
        names = {pid: name_of(pid) for pid in processes_of(server.process.pid)}
        found = [pid for pid, name in names.items() if "EngineCore" in name]
        if len(found) == 1:  # a child has its name for a moment, until it has its own program
            return found[0]
        assert time.monotonic() < until, f"not one EngineCore among {names}\n{server.log[-8000:]}"
        await asyncio.sleep(0.1)


def name_of(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


async def test_a_case_over_hl7_is_drafted_by_vllm(gateway: GatewayProcess, dictation: Dictation) -> None:
    """Order and dictated report in, and the draft that the signer's LoRA wrote on vLLM comes back unverified."""
    ris = Ris(accession="V100001")
    await dictate(gateway, ris)
    await dictation.until(1, ris.accession, within_s=PATIENCE_S)
    [draft] = dictation.of(ris.accession)
    assert str(draft.segment("OBR")[25]) == "R"
    [impression] = dictation.impressions(ris.accession)
    assert "nodule" in impression
    assert lora_of(gateway, ris.accession).startswith("persona/elaborate@")


async def test_no_draft_is_lost_when_vllms_process_dies(
    gateway: GatewayProcess, dictation: Dictation, server: tuple[ModelServerProcess, str]
) -> None:
    """SIGKILL to vLLM's process: health fails, Serve replaces the replica, and every report dictated gets its draft."""
    running, url = server
    killed = await engine_of(running)
    old = processes_of(killed)
    before, after = ([Ris(accession=f"V{n}0000{m}") for m in range(6)] for n in (2, 3))
    await dictate(gateway, *before)
    os.kill(killed, signal.SIGKILL)
    await dictate(gateway, *after)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as http:
        async with asyncio.timeout(PATIENCE_S):
            while await health(http) == httpx.codes.OK:  # its death is seen a moment later; a start takes seconds
                await asyncio.sleep(0.02)
            while await health(http) != httpx.codes.OK:
                await asyncio.sleep(0.2)
    assert await engine_of(running) != killed
    assert await asyncio.to_thread(await_gone, old) == set()
    for ris in (*before, *after):
        await dictation.until(1, ris.accession, within_s=PATIENCE_S)
    last = Ris(accession="V400001")
    await dictate(gateway, last)
    await dictation.until(1, last.accession, within_s=PATIENCE_S)
    assert lora_of(gateway, last.accession).startswith("persona/elaborate@")
    assert len(dictation.messages) == len(set(dictation.control_ids()))


async def health(http: httpx.AsyncClient) -> int:
    """Status of `/healthz`; 0 while nobody listens."""
    try:
        return (await http.get("/healthz")).status_code
    except httpx.TransportError:
        return 0
