"""Medplum's FHIRcast client drives our hub."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from radbridge_adapters import fhircast
from tests.support.fhircast import observation, put, report_context, update_context
from tests.support.live import live, make_site
from tests.support.peers import script


async def test_medplums_client_gets_a_draft(tmp_path: Path) -> None:
    """Medplum's own client subscribes, opens, updates, hears the draft, reads the context and unsubscribes."""
    open_context = report_context("A1")
    open_context[0]["resource"]["code"]["coding"][0]["display"] = "Diagnostic imaging study"
    update = update_context(put(observation("Clear lungs. No effusion.")))
    async with live(make_site(tmp_path), fhircast.wire) as gateway:
        process = await asyncio.create_subprocess_exec(
            *script("fhircast_medplum.mjs"),
            gateway.base,
            "a-topic",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate(json.dumps({"open": open_context, "update": update}).encode())
    assert process.returncode == 0, err.decode()
    said = json.loads(out)
    assert said["empty"] == {"context.type": "", "context": []}
    names = [event["hub.event"] for event in said["heard"]]
    assert names == ["DiagnosticReport-open", "DiagnosticReport-update", "DiagnosticReport-update"]
    [entry] = said["heard"][2]["context"][-1]["resource"]["entry"]
    assert entry["resource"]["valueString"] == "Clear lungs."
    assert said["context"]["context.versionId"] == said["heard"][2]["context.versionId"]
    assert "accepted" not in said["conflict"]
