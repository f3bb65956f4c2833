"""FHIR clients that nobody here wrote drive our server over a real socket: two from PyPI, two from npm."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhirclient import client as fhirclient
from fhirclient.models.diagnosticreport import DiagnosticReport
from fhirclient.models.patient import Patient
from fhirpy import AsyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

from radbridge_adapters import fhir
from tests.support.cds import report
from tests.support.live import live, make_site
from tests.support.peers import run_script
from tests.support.smart import Signer, es384, rs384

MRN = "urn:oid:2.999.1"


def patient(value: str) -> dict[str, Any]:
    return {"identifier": [{"system": MRN, "value": value}], "name": [{"family": "DOE", "given": ["JANE"]}]}


async def test_fhirpy_works(tmp_path: Path) -> None:
    """Create, read, update, search with paging, count, get-or-create and a transaction, by fhirpy's own means."""
    async with live(make_site(tmp_path, fhir={"page_size": 2}), fhir.wire) as gateway:
        client = AsyncFHIRClient(f"{gateway.base}/fhir")
        made = client.resource("Patient", **patient("900001"))
        await made.save()
        made["active"] = True
        await made.save()
        read = await client.reference("Patient", made.id).to_resource()
        assert (read["active"], read["meta"]["versionId"]) == (True, "2")
        again, is_new = (
            await client.resources("Patient")
            .search(identifier=f"{MRN}|900001")
            .get_or_create(client.resource("Patient", **patient("900001")))
        )
        assert (again.id, is_new) == (made.id, False)
        for number in range(4):
            await client.resource("Patient", **patient(f"90001{number}")).save()
        everybody = client.resources("Patient").search(family="doe")
        assert await everybody.count() == 5
        assert len(await everybody.fetch_all()) == 5
        with pytest.raises(OperationOutcome):
            await client.resource("Patient", gender="nonsense").save()
        with pytest.raises(ResourceNotFound):
            await client.reference("Patient", "nobody").to_resource()


@pytest.mark.parametrize("signer", [es384("pacs"), rs384("ehr")], ids=["ES384", "RS384"])
async def test_fhirclient_gets_a_token_and_works(tmp_path: Path, signer: Signer) -> None:
    """SMART's own client reads our capabilities, exchanges its assertion for a token, and reads and writes with it."""
    clients = [{"id": signer.client, "jwks": signer.jwks, "scopes": ["system/*.cruds"]}]
    async with live(make_site(tmp_path, fhir={"clients": clients}), fhir.wire) as gateway:
        await asyncio.to_thread(drive_fhirclient, gateway.base, signer)
        await gateway.until(lambda: gateway.drafts("A500001"))


def drive_fhirclient(base: str, signer: Signer) -> None:
    settings = {
        "app_id": signer.client,
        "api_base": f"{base}/fhir",
        "scope": "system/*.cruds",
        "jwt_token": signer.sign(f"{base}/oauth2/token"),
    }
    smart = fhirclient.FHIRClient(settings=settings)
    smart.prepare()
    smart.server.authorize()
    made = Patient(patient("900001")).create(smart.server)
    read = Patient.read(made["id"], smart.server)
    read.active = True
    assert read.update(smart.server)["meta"]["versionId"] == "2"
    found = Patient.where({"identifier": f"{MRN}|900001"}).perform_resources_iter(smart.server)
    assert [one.id for one in found] == [made["id"]]
    sent = DiagnosticReport(report() | {"conclusion": "IMPRESSION: none.\nFINDINGS: Clear lungs."})
    sent.id = None
    sent.create(smart.server)


async def test_medplum_and_fhir_kit_work(tmp_path: Path) -> None:
    """Npm's two clients create, update, page, read history and send a transaction, with a token of ours."""
    signer = es384()
    clients = [{"id": signer.client, "jwks": signer.jwks, "scopes": ["system/*.cruds"]}]
    async with live(make_site(tmp_path, fhir={"clients": clients}), fhir.wire) as gateway:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            token_url = f"{gateway.base}/oauth2/token"
            form = signer.form(token_url, scope="system/*.cruds")
            token = (await http.post(token_url, data=form)).json()["access_token"]
        told = await run_script("rest_clients.mjs", f"{gateway.base}/fhir", token)
    assert told["medplum"] | {"subject": ""} == {
        "updated": True,
        "versions": 2,
        "version": None,
        "once": True,
        "pages": [["900200", "900201"], ["900202", "900203"], ["900204"]],
        "statuses": ["201 Created", "201 Created"],
        "subject": "",
        "refused": ["Patient.gender"],
    }
    assert told["medplum"]["subject"].startswith("Patient/")
    assert told["fhirKit"] == {"fhirVersion": "4.0.1", "version": "2", "found": 1, "posted": 1, "gone": 404}
