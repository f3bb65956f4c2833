"""Drafts in our own FHIR store: beside the hospital's resources, and never taken for a dictation."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from radbridge.case import CaseKey
from radbridge.journal import edits
from radbridge_adapters.resources.codes import AIAST, DRAFT_SYSTEM, coding
from tests.support.fhir import order, report
from tests.support.fhir_fixtures import client, gateway
from tests.support.live import LiveGateway

__all__ = ["client", "gateway"]

Document = dict[str, Any]


async def ours(client: httpx.AsyncClient, kind: str, **criteria: str) -> list[Document]:
    """The draft's resources of one type."""
    found = (await client.get(kind, params={"_security": f"{coding(AIAST)['system']}|AIAST", **criteria})).json()
    return [entry["resource"] for entry in found.get("entry", ())]


async def until_ours(client: httpx.AsyncClient, version: str, **criteria: str) -> Document:
    """The draft report, once it has that version."""
    async with asyncio.timeout(60):
        while True:
            found = await ours(client, "DiagnosticReport", **criteria)
            if found and found[0]["meta"]["versionId"] == version:
                return found[0]
            await asyncio.sleep(0.005)


async def test_a_draft_is_stored(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """A draft stands beside the hospital's report, with its patient and order, and that report is as it was."""
    request = (await client.post("ServiceRequest", json=order())).json()
    refers: Document = {
        "basedOn": [{"reference": f"ServiceRequest/{request['id']}"}],
        "subject": {"reference": "Patient/p1"},
    }
    theirs = (await client.post("DiagnosticReport", json=report(**refers))).json()
    made = await until_ours(client, "1")
    [observation] = await ours(client, "Observation")
    [provenance] = await ours(client, "Provenance")
    assert observation["valueString"] == made["conclusion"] == "Right pleural effusion."
    assert made["result"] == [{"reference": f"Observation/{observation['id']}"}]
    assert {one["reference"] for one in provenance["target"]} == {
        f"DiagnosticReport/{made['id']}",
        f"Observation/{observation['id']}",
    }
    assert provenance["entity"][0]["what"] == {"reference": f"DiagnosticReport/{theirs['id']}"}
    assert made["basedOn"][0]["reference"] == f"ServiceRequest/{request['id']}"
    assert made["subject"]["reference"] == "Patient/p1"
    assert (await client.get(f"DiagnosticReport/{theirs['id']}")).json() == theirs


async def test_a_redraft_is_a_version(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """Other findings withdraw the draft and draft anew: versions of the same resources, a Provenance for each."""
    theirs = (await client.post("DiagnosticReport", json=report())).json()
    first = await until_ours(client, "1")
    changed = report(text="Left pneumothorax. Heart normal.") | {"id": theirs["id"]}
    await client.put(f"DiagnosticReport/{theirs['id']}", json=changed)
    last = await until_ours(client, "3")
    assert last["id"] == first["id"]
    assert last["conclusion"] == "Left pneumothorax."
    withdrawn = (await client.get(f"DiagnosticReport/{last['id']}/_history/2")).json()
    assert withdrawn["status"] == "entered-in-error"
    assert "conclusion" not in withdrawn
    assert len(await ours(client, "Provenance")) == 3


async def test_a_signature_withdraws(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """When the hospital's report is signed, the draft is declared an error and has no text any more."""
    theirs = (await client.post("DiagnosticReport", json=report())).json()
    await until_ours(client, "1")
    await client.put(f"DiagnosticReport/{theirs['id']}", json=report(status="final") | {"id": theirs["id"]})
    last = await until_ours(client, "2")
    [observation] = await ours(client, "Observation")
    assert last["status"] == observation["status"] == "entered-in-error"
    assert "valueString" not in observation


async def test_ours_is_no_dictation(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """A draft that a hospital's system stores here again makes no new case and no new draft."""
    await client.post("DiagnosticReport", json=report())
    made = await until_ours(client, "1")
    echo = {k: v for k, v in made.items() if k not in ("id", "meta", "identifier")} | {
        "meta": {"security": [coding(AIAST)]},
        "identifier": report()["identifier"],
    }
    assert (await client.post("DiagnosticReport", json=echo)).status_code == 201
    await client.post("DiagnosticReport", json=report("A2"))
    await gateway.until(lambda: gateway.drafts("A2"))
    assert len(gateway.drafts("A1")) == 1


async def test_a_signed_draft_is_left_alone(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """A draft that somebody makes final here is theirs: the case is signed, and it is never overwritten."""
    await client.post("DiagnosticReport", json=report())
    made = await until_ours(client, "1")
    signed = {**made, "status": "final", "conclusion": "Signed by hand."}
    assert (await client.put(f"DiagnosticReport/{made['id']}", json=signed)).status_code == 200
    await gateway.until(lambda: (case := gateway.case("A1")) is not None and case.state == "signed")
    await client.post("DiagnosticReport", json=report("A2"))
    await until_ours(client, "1", identifier="A2")
    last = (await client.get(f"DiagnosticReport/{made['id']}")).json()
    assert (last["status"], last["conclusion"]) == ("final", "Signed by hand.")


@pytest.mark.parametrize("is_read", [False, True])
async def test_an_unseen_draft_was_not_delivered(
    gateway: LiveGateway, client: httpx.AsyncClient, is_read: bool
) -> None:
    """A draft that nobody fetched counts as undelivered when its report is signed; one that somebody read does not."""
    theirs = (await client.post("DiagnosticReport", json=report())).json()
    await gateway.until(lambda: query(gateway, "SELECT count(*) FROM delivery WHERE state = ?", "confirmed"))
    if is_read:
        await ours(client, "DiagnosticReport")
        await gateway.until(lambda: query(gateway, "SELECT count(*) FROM draft_feedback WHERE source = ?", "fhir"))
    signed = report(id=theirs["id"], status="final", conclusion="Right pleural effusion.")
    await client.put(f"DiagnosticReport/{theirs['id']}", json=signed)
    key = CaseKey(accession="A1")
    await gateway.until(lambda: gateway.journal.read_now(lambda conn: edits.of_case(conn, key)))
    [(edit, _)] = gateway.journal.read_now(lambda conn: edits.of_case(conn, key))
    assert edit.delivered is is_read


def query(gateway: LiveGateway, statement: str, value: str) -> int:
    return int(gateway.journal.read_now(lambda conn: conn.exec_driver_sql(statement, (value,)).scalar_one()))


async def test_the_hospitals_conditions_find_their_own(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """A conditional create by the hospital's own accession number finds its own report, and not the draft of it."""
    numbered = report(identifier=[{**report()["identifier"][0], "system": "urn:hospital"}])
    theirs = (await client.post("DiagnosticReport", json=numbered)).json()
    async with asyncio.timeout(60):
        while not await ours(client, "DiagnosticReport", identifier=f"{DRAFT_SYSTEM}|"):
            await asyncio.sleep(0.005)
    again = await client.post(
        "DiagnosticReport", json=numbered, headers={"if-none-exist": "identifier=urn:hospital|A1"}
    )
    assert (again.status_code, again.json()["id"]) == (200, theirs["id"])
