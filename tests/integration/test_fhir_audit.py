"""AuditEvents of what clients do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from radbridge_adapters import fhir
from tests.support.fhir import JSON, patient
from tests.support.fhir_fixtures import client, gateway
from tests.support.live import live, make_site

__all__ = ["client", "gateway"]


async def events(client: httpx.AsyncClient, at_least: int) -> list[dict[str, Any]]:
    """The audit trail, oldest first, once it has as many events."""
    async with asyncio.timeout(60):
        while True:
            answer = (await client.get("AuditEvent?_count=100")).json()
            if answer["total"] >= at_least:
                return [e["resource"] for e in answer.get("entry", ())]
            await asyncio.sleep(0.05)


async def test_who_did_what(client: httpx.AsyncClient) -> None:
    """Writes, reads, searches and refusals are on record with the ids of resources, and nothing of their content."""
    made = (await client.post("Patient", json=patient("900123"))).json()
    await client.get(f"Patient/{made['id']}")
    await client.get("Patient?identifier=900123")
    await client.put("Patient/mine", json=patient("900123", id="other"))
    trail = (await events(client, 4))[:4]
    assert [(e["subtype"][0]["code"], e["action"], e["outcome"]) for e in trail] == [
        ("create", "C", "0"),
        ("read", "R", "0"),
        ("search-type", "E", "0"),
        ("update", "U", "4"),
    ]
    assert [e["entity"][0]["what"] for e in trail] == [
        {"reference": f"Patient/{made['id']}"},
        {"reference": f"Patient/{made['id']}"},
        {"type": "Patient"},
        {"reference": "Patient/mine"},
    ]
    assert {e["agent"][0]["who"]["identifier"]["value"] for e in trail} == {"anonymous"}
    assert "900123" not in str(trail)


async def test_who_saw_a_resource(client: httpx.AsyncClient) -> None:
    """`entity` finds the events of a resource, `patient` those of a Patient; the rows of other ids aren't theirs."""
    one, other = [(await client.post("Patient", json=patient(mrn))).json()["id"] for mrn in ("900123", "900124")]
    await client.get(f"Patient/{one}")
    await client.get(f"Patient/{other}")
    await events(client, 4)
    for query in (f"entity=Patient/{one}", f"patient={one}", f"patient=Patient/{one}&entity:Patient={one}"):
        found = (await client.get(f"AuditEvent?{query}")).json()["entry"]
        told = [entry["resource"] for entry in found]
        assert {event["subtype"][0]["code"] for event in told} == {"create", "read"}
        assert {event["entity"][0]["what"]["reference"] for event in told} == {f"Patient/{one}"}
    assert (await client.get("AuditEvent?patient=nobody")).json()["total"] == 0


async def test_a_transaction_names_what_it_stored(client: httpx.AsyncClient) -> None:
    """The event of a transaction has an entity for each of its resources."""
    entries = [{"resource": patient(str(n)), "request": {"method": "POST", "url": "Patient"}} for n in range(3)]
    answer = await client.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    stored = [f"Patient/{e['resource']['id']}" for e in answer.json()["entry"]]
    [event, *_] = await events(client, 1)
    assert [entity["what"]["reference"] for entity in event["entity"]] == stored


async def test_the_trail_is_only_read(client: httpx.AsyncClient) -> None:
    """Nobody writes AuditEvents from outside."""
    await client.get("Patient/none")
    [event, *_] = await events(client, 1)
    assert (await client.put(f"AuditEvent/{event['id']}", json=event)).status_code == 405
    assert (await client.post("AuditEvent", json=event)).status_code == 405


async def test_a_stop_loses_nothing(tmp_path: Path) -> None:
    """What was done just before the gateway was stopped is on record after the next start."""
    for at_least in (0, 30):
        async with (
            live(make_site(tmp_path), fhir.wire) as gateway,
            httpx.AsyncClient(base_url=gateway.base + "/fhir/", headers=JSON, timeout=60) as client,
        ):
            assert len(await events(client, at_least)) >= at_least
            for _ in range(30):
                await client.get("Patient/none")
