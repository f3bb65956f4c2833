"""What was answered 201 is there after the worst night."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from tests.support.fhir import JSON, report
from tests.support.gateway import GatewayProcess

WRITERS = 8


async def create_until_it_dies(base: str, writer: int, made: dict[str, str]) -> None:
    """Create report after report, each under a condition, and note every 201."""
    async with httpx.AsyncClient(base_url=base, headers=JSON, timeout=60) as client:
        for number in range(100_000):
            accession = f"K{writer}-{number}"
            try:
                condition = {"if-none-exist": f"identifier={accession}"}
                answer = await client.post("DiagnosticReport", json=report(accession), headers=condition)
            except httpx.HTTPError:
                return
            if answer.status_code == 201:
                made[accession] = answer.json()["id"]


async def test_nothing_that_was_answered_is_lost(tmp_path: Path) -> None:
    """After kill -9 every report that was answered is there and is a case, and sending again makes no second."""
    made: dict[str, str] = {}
    gateway = GatewayProcess(tmp_path, model='url = "http://127.0.0.1:9"')
    await gateway.start(ready=False)
    base = f"http://127.0.0.1:{gateway.http_port}/fhir/"
    writers = [asyncio.create_task(create_until_it_dies(base, n, made)) for n in range(WRITERS)]
    while len(made) < 60:
        await asyncio.sleep(0.01)
    gateway.kill()
    await asyncio.gather(*writers)
    assert gateway.process is not None
    await gateway.process.wait()
    await gateway.start(ready=False)
    try:
        async with httpx.AsyncClient(base_url=base, headers=JSON, timeout=60) as client:
            for accession, id in made.items():
                assert (await client.get(f"DiagnosticReport/{id}")).json()["identifier"][0]["value"] == accession
                condition = {"if-none-exist": f"identifier={accession}"}
                again = await client.post("DiagnosticReport", json=report(accession), headers=condition)
                assert (again.status_code, again.json()["id"]) == (200, id)
            total = (await client.get("DiagnosticReport?_summary=count")).json()["total"]
        await gateway.until("SELECT count(*) FROM message WHERE state = 'accepted'", 0)
        stored: list[tuple[Any, ...]] = gateway.query('SELECT accession FROM "case"')
        assert {row[0] for row in stored} >= made.keys()
        assert len(stored) == total
        assert gateway.query("SELECT count(*) FROM resource_version WHERE type = 'DiagnosticReport'")[0][0] == total
        whole = [json.loads(row[0]) for row in gateway.query("SELECT raw FROM message")]
        assert {bundle["entry"][0]["resource"]["resourceType"] for bundle in whole} == {"DiagnosticReport"}
    finally:
        await gateway.stop()
