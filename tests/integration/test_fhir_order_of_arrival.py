"""A report and what it refers to may come in any order."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import permutations
from typing import Any

import httpx
import pytest

from radbridge.draft import DraftState
from radbridge.journal import messages
from radbridge.journal.buckets import ALL
from tests.support.fhir import FINDINGS, observation, order, patient, report
from tests.support.fhir_fixtures import client, gateway
from tests.support.live import LiveGateway

__all__ = ["client", "gateway"]


def parts(tag: str) -> dict[str, dict[str, Any]]:
    """A report that says nothing by itself: accession, patient, signer and text are elsewhere."""
    told = report("", "", subject={"reference": f"Patient/p{tag}"}, basedOn=[{"reference": f"ServiceRequest/s{tag}"}])
    del told["identifier"]
    told |= {
        "result": [{"reference": f"Observation/o{tag}"}],
        "resultsInterpreter": [{"reference": f"PractitionerRole/w{tag}"}],
    }
    signer = {"resourceType": "Practitioner", "identifier": [{"value": "1001"}], "name": [{"family": "Reader"}]}
    role = {"resourceType": "PractitionerRole", "practitioner": {"reference": f"Practitioner/d{tag}"}}
    return {
        f"DiagnosticReport/r{tag}": told,
        f"Patient/p{tag}": patient(f"9{tag}"),
        f"ServiceRequest/s{tag}": order(f"A{tag}", subject={"reference": f"Patient/p{tag}"}),
        f"Observation/o{tag}": observation(),
        f"PractitionerRole/w{tag}": role,
        f"Practitioner/d{tag}": signer,
    }


def has_draft(gateway: LiveGateway, accession: str) -> bool:
    return any(d.state is DraftState.CURRENT for d in gateway.drafts(accession))


async def test_every_order_of_arrival_makes_the_same_case(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """Whatever comes first, once all is there the case has its patient, text and signer, and a draft for just these."""
    orders = list(permutations(range(6)))[::36]
    for number, chosen in enumerate(orders):
        tag = f"{number:03}"
        stored = parts(tag)
        addresses = list(stored)
        for index in chosen:
            document = stored[addresses[index]] | {"id": addresses[index].split("/")[1]}
            assert (await client.put(addresses[index], json=document)).status_code == 201
    await gateway.until(lambda: not gateway.journal.read_now(lambda c: messages.waiting(c, buckets=ALL, at_most=1)))
    for number in range(len(orders)):
        tag = f"{number:03}"
        case = gateway.case(f"A{tag}")
        assert case is not None, orders[number]
        assert (case.patient.id, case.report.findings, case.signer.id) == (f"9{tag}", FINDINGS, "1001"), orders[number]
        await gateway.until(partial(has_draft, gateway, f"A{tag}"))


async def test_a_new_text_in_an_observation(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """An Observation that changes is a new text of the report that refers to it: the old draft is withdrawn."""
    for address, document in parts("1").items():
        await client.put(address, json=document | {"id": address.split("/")[1]})
    await gateway.until(lambda: not gateway.journal.read_now(lambda c: messages.waiting(c, buckets=ALL, at_most=1)))
    await gateway.until(partial(has_draft, gateway, "A1"))
    await client.put("Observation/o1", json=observation("Left effusion.") | {"id": "o1"})
    await gateway.until(lambda: [d.draft.text for d in gateway.drafts("A1")][-1] == "Left effusion.")
    assert [d.state for d in gateway.drafts("A1")][-2:] == ["withdrawn", "current"]


async def test_a_signed_report_is_not_told_again(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """What is stored after the signature changes the case no more."""
    for address, document in parts("1").items():
        final = {"status": "final"} if address.startswith("DiagnosticReport") else {}
        await client.put(address, json=document | {"id": address.split("/")[1]} | final)
    before = gateway.journal.read_now(lambda c: c.exec_driver_sql("SELECT count(*) FROM message").scalar_one())
    await client.put("Observation/o1", json=observation("Left effusion.") | {"id": "o1"})
    after = gateway.journal.read_now(lambda c: c.exec_driver_sql("SELECT count(*) FROM message").scalar_one())
    assert before == after


@pytest.mark.parametrize("later", ["Composition", "DiagnosticReport"])
async def test_a_composition_tells_the_text(gateway: LiveGateway, client: httpx.AsyncClient, later: str) -> None:
    """Sections of a Composition that has the report as an entry are the report's text, whichever comes first."""
    composition = {
        "resourceType": "Composition",
        "id": "c1",
        "status": "preliminary",
        "type": {"text": "Report"},
        "date": "2026-03-01",
        "author": [{"display": "Reader"}],
        "title": "CT",
        "section": [
            {
                "title": "Findings",
                "code": {"coding": [{"system": "http://loinc.org", "code": "59776-5"}]},
                "text": {
                    "status": "additional",
                    "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{FINDINGS}</p></div>',
                },
                "entry": [{"reference": "DiagnosticReport/r1"}],
            }
        ],
    }
    documents = [report("A1", "", id="r1"), composition]
    if later == "DiagnosticReport":
        documents.reverse()
    for document in documents:
        answer = await client.put(f"{document['resourceType']}/{document['id']}", json=document)
        assert answer.status_code == 201, answer.text
    await gateway.until(lambda: gateway.drafts("A1"))
    case = gateway.case("A1")
    assert case is not None
    assert case.report.findings == FINDINGS


async def test_our_own_draft_is_no_dictation(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """A hospital's system that sends our draft back has it stored, and it never becomes the findings of a case."""
    await client.post("DiagnosticReport", json=report())
    await gateway.until(lambda: gateway.drafts("A1"))

    async def ours() -> list[dict[str, Any]]:
        answer = (await client.get("DiagnosticReport?_security=AIAST")).json()
        return [e["resource"] for e in answer.get("entry", ())]

    async with asyncio.timeout(60):
        while not (drafts := await ours()):
            await asyncio.sleep(0.02)
    case = gateway.case("A1")
    echo = {k: v for k, v in drafts[0].items() if k != "id"}
    echo["meta"] = {"security": echo["meta"]["security"]}
    assert (await client.post("DiagnosticReport", json=echo)).status_code == 201
    await client.post("Patient", json=patient("1"))
    await gateway.until(lambda: not gateway.journal.read_now(lambda c: messages.waiting(c, buckets=ALL, at_most=1)))
    assert gateway.case("A1") == case
    assert len(gateway.drafts("A1")) == 1


async def test_criteria_never_mean_our_draft(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """A condition by accession number finds the hospital's report and not the draft beside it."""
    made = (await client.post("DiagnosticReport", json=report())).json()
    async with asyncio.timeout(60):
        while (await client.get("DiagnosticReport?identifier=A1&_summary=count")).json()["total"] < 2:
            await asyncio.sleep(0.02)
    again = await client.post("DiagnosticReport", json=report(), headers={"if-none-exist": "identifier=A1"})
    assert (again.status_code, again.json()["id"]) == (200, made["id"])
    updated = await client.put("DiagnosticReport?identifier=A1", json=report(status="preliminary"))
    assert (updated.status_code, updated.json()["id"]) == (200, made["id"])


async def test_a_merge_whose_survivor_comes_later(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """A record replaced by one that isn't there yet: once that one is stored, the case is of the surviving patient."""
    await client.put("Patient/old", json=patient("900001", id="old"))
    await client.post("DiagnosticReport", json=report(subject={"reference": "Patient/old"}))
    await gateway.until(lambda: (case := gateway.case("A1")) and case.patient.id == "900001")
    link = [{"type": "replaced-by", "other": {"reference": "Patient/new"}}]
    await client.put("Patient/old", json=patient("900001", id="old", active=False, link=link))
    await client.put("Patient/new", json=patient("900002", id="new"))
    await gateway.until(lambda: (case := gateway.case("A1")) and case.patient.id == "900002")
