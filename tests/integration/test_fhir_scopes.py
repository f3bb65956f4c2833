"""Scopes held to on the FHIR server: by type and verb, for what comes along, and for every entry of a Bundle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from radbridge_adapters import fhir
from tests.support.fhir import JSON, patient, report
from tests.support.live import LiveGateway, live, make_site
from tests.support.smart import es384

RIS = es384("ris")
READER = "system/DiagnosticReport.rs"


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[LiveGateway]:
    clients = [{"id": RIS.client, "jwks": RIS.jwks, "scopes": ["system/*.cruds"]}]
    async with live(make_site(folder, fhir={"clients": clients}), fhir.wire) as gateway:
        yield gateway


async def as_client(gateway: LiveGateway, scope: str) -> httpx.AsyncClient:
    """A client with a token of just this scope."""
    async with httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http:
        form = RIS.form(f"{gateway.base}/oauth2/token") | {"scope": scope}
        said = await http.post("/oauth2/token", data=form)
    assert said.status_code == 200, said.text
    headers = {**JSON, "authorization": f"Bearer {said.json()['access_token']}"}
    return httpx.AsyncClient(base_url=gateway.base + "/fhir/", headers=headers, timeout=60)


async def test_each_verb_of_each_type(tmp_path: Path) -> None:
    """A token opens what its scopes name and nothing beside it; without one there is only the way to get one."""
    async with serving(tmp_path) as gateway:
        async with await as_client(gateway, "system/*.cruds") as every:
            made = (await every.post("DiagnosticReport", json=report("A1", ""))).json()
            person = (await every.post("Patient", json=patient())).json()
        told: dict[str, int] = {}
        async with await as_client(gateway, READER) as reader:
            for method, path, body in (
                ("GET", f"DiagnosticReport/{made['id']}", None),
                ("GET", "DiagnosticReport", None),
                ("GET", f"DiagnosticReport/{made['id']}/_history", None),
                ("POST", "DiagnosticReport", report()),
                ("PUT", f"DiagnosticReport/{made['id']}", made | {"status": "final"}),
                ("GET", f"Patient/{person['id']}", None),
                ("GET", "DiagnosticReport?patient.identifier=900001", None),
                ("GET", "metadata", None),
            ):
                answer = await reader.request(method, path, json=body)
                told[f"{method} {path.replace(made['id'], 'r').replace(person['id'], 'p')}"] = answer.status_code
        assert told == {
            "GET DiagnosticReport/r": 200,
            "GET DiagnosticReport": 200,
            "GET DiagnosticReport/r/_history": 200,
            "POST DiagnosticReport": 403,
            "PUT DiagnosticReport/r": 403,
            "GET Patient/p": 403,
            "GET DiagnosticReport?patient.identifier=900001": 403,
            "GET metadata": 200,
        }
        async with httpx.AsyncClient(base_url=gateway.base + "/fhir/", timeout=60) as nobody:
            answer = await nobody.get("DiagnosticReport")
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.json()["resourceType"] == "OperationOutcome"


async def test_what_comes_along_needs_its_own_scope(tmp_path: Path) -> None:
    """`_include` leaves out the types that the token doesn't open."""
    async with serving(tmp_path) as gateway:
        async with await as_client(gateway, "system/*.cruds") as every:
            await every.put("Patient/p1", json=patient(id="p1"))
            await every.post("DiagnosticReport", json=report("A1", "", subject={"reference": "Patient/p1"}))
        query = "DiagnosticReport?_include=DiagnosticReport:subject"
        for scope, kinds in (
            (READER, {"DiagnosticReport"}),
            (f"{READER} system/Patient.r", {"DiagnosticReport", "Patient"}),
        ):
            async with await as_client(gateway, scope) as client:
                entries = (await client.get(query)).json()["entry"]
                assert {entry["resource"]["resourceType"] for entry in entries} == kinds


async def test_every_entry_needs_its_scope(tmp_path: Path) -> None:
    """A transaction with one entry beyond the scopes stores nothing; of a batch that one entry is refused."""
    entries: list[dict[str, Any]] = [
        {"resource": report("A1", ""), "request": {"method": "POST", "url": "DiagnosticReport"}},
        {"resource": patient(), "request": {"method": "POST", "url": "Patient"}},
    ]
    async with serving(tmp_path) as gateway, await as_client(gateway, "system/DiagnosticReport.cs") as client:
        whole = await client.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
        assert (whole.status_code, whole.json()["issue"][0]["expression"]) == (403, ["Bundle.entry[1].request"])
        assert (await client.get("DiagnosticReport?_summary=count")).json()["total"] == 0
        batch = await client.post("", json={"resourceType": "Bundle", "type": "batch", "entry": entries})
        assert [e["response"]["status"][:3] for e in batch.json()["entry"]] == ["201", "403"]
        update = {"resource": report("A2", "", id="x"), "request": {"method": "PUT", "url": "DiagnosticReport/x"}}
        late = await client.post("", json={"resourceType": "Bundle", "type": "batch", "entry": [update]})
        assert late.json()["entry"][0]["response"]["status"] == "403"


async def test_refusals_are_on_record(tmp_path: Path) -> None:
    """An AuditEvent names who was refused; a caller without a token is nobody."""
    async with serving(tmp_path) as gateway:
        async with await as_client(gateway, READER) as reader:
            await reader.get("Patient/p1")
        async with httpx.AsyncClient(base_url=gateway.base + "/fhir/", timeout=60) as nobody:
            await nobody.get("Patient/p1")
        async with await as_client(gateway, "system/AuditEvent.rs") as auditor, asyncio.timeout(60):
            while (trail := (await auditor.get("AuditEvent")).json())["total"] < 2:
                await asyncio.sleep(0.05)
        told = [e["resource"] for e in trail["entry"][:2]]
        assert [e["outcome"] for e in told] == ["4", "4"]
        assert [e["agent"][0]["who"]["identifier"]["value"] for e in told] == ["client:ris", "unknown"]
