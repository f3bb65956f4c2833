"""The hub's process is killed without warning."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.fhircast import observation, put, report_context, update_context
from tests.support.fhircast_client import Cast, application


@asynccontextmanager
async def gateway(folder: Path, delay_s: float = 0.0) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """A gateway's hub URL, and its process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.fhircast_process", str(folder), str(delay_s)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            lines = [line async for line in _until_url(process.stdout)]
        yield f"{lines[-1]}/fhircast", process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _until_url(out: asyncio.StreamReader) -> AsyncIterator[str]:
    while line := (await out.readline()).decode().strip():
        yield line
        if line.startswith("http://"):
            return


async def draft_in(cast: Cast) -> str:
    """The draft in the content, waited for."""
    async with asyncio.timeout(60):
        while True:
            content = cast.content(await cast.context())
            found = [r["valueString"] for name, r in content.items() if "radbridge" in name]
            if found:
                return str(found[0])
            await asyncio.sleep(0.01)


async def test_an_acknowledged_update_outlives_kill_9(tmp_path: Path) -> None:
    """Killed right after the 202 of an update: the content is there afterwards, and its draft comes all the same."""
    found = observation("Clear lungs. No effusion.")
    async with gateway(tmp_path, delay_s=600) as (url, process), application(url) as pacs:
        await pacs.post("DiagnosticReport-open", report_context("A1"))
        version = (await pacs.context())["context.versionId"]
        assert (await pacs.post("DiagnosticReport-update", update_context(put(found)), version)).status_code == 202
        process.kill()
        await process.wait()
    async with gateway(tmp_path) as (url, _), application(url) as pacs:
        assert pacs.content(await pacs.context())["Observation/f1"] == found
        assert await draft_in(pacs) == "Clear lungs."


async def test_a_draft_in_the_content_outlives_kill_9(tmp_path: Path) -> None:
    """A draft that was in the content is there after kill -9, once, and an update sent again has no second effect."""
    async with gateway(tmp_path) as (url, process), application(url) as pacs:
        await pacs.post("DiagnosticReport-open", report_context("A1"))
        version = (await pacs.context())["context.versionId"]
        context = update_context(put(observation("Clear lungs.")))
        await pacs.post("DiagnosticReport-update", context, version, id="the-update")
        assert await draft_in(pacs) == "Clear lungs."
        before = await pacs.context()
        process.kill()
        await process.wait()
    async with gateway(tmp_path) as (url, _), application(url) as pacs:
        assert await pacs.context() == before
        assert (await pacs.post("DiagnosticReport-update", context, version, id="the-update")).status_code == 202
        assert await pacs.context() == before
