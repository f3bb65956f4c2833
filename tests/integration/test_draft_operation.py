"""`$draft-impression`: a draft on demand, at once or later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from radbridge.errors import PromptTooLong
from radbridge.testing import FakeModel
from radbridge_adapters import fhir
from radbridge_adapters.resources.validate import validate
from tests.support.fhir import JSON, report
from tests.support.held_model import HeldModel
from tests.support.live import live, make_site

Document = dict[str, Any]

ASYNC = {"prefer": "respond-async"}


@asynccontextmanager
async def server(folder: Path, model: FakeModel | None = None) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        live(make_site(folder), fhir.wire, model=model) as gateway,
        httpx.AsyncClient(base_url=f"{gateway.base}/fhir/", headers=JSON, timeout=60) as client,
    ):
        yield client


def parameters(**given: Any) -> Document:
    names = {"report": "resource", "deadline": "valueDuration"}
    return {"resourceType": "Parameters", "parameter": [{"name": n, names[n]: v} for n, v in given.items()]}


def deadline(seconds: float) -> Document:
    return {"value": seconds, "system": "http://unitsofmeasure.org", "code": "s"}


async def store(client: httpx.AsyncClient, document: Document) -> str:
    id: str = (await client.post("DiagnosticReport", json=document)).json()["id"]
    return id


def issue(answer: httpx.Response) -> str:
    code: str = answer.json()["issue"][0]["code"]
    return code


async def test_of_a_stored_report(tmp_path: Path) -> None:
    """The draft of a stored report comes as Observation, report and Provenance, unverified."""
    async with server(tmp_path) as client:
        id = await store(client, report())
        answer = await client.post(f"DiagnosticReport/{id}/$draft-impression")
        assert answer.status_code == 200
        validate(answer.json())
        observation, drafted, provenance = (entry["resource"] for entry in answer.json()["entry"])
        assert observation["valueString"] == drafted["conclusion"] == "Right pleural effusion."
        assert (observation["status"], drafted["status"]) == ("preliminary", "partial")
        assert provenance["resourceType"] == "Provenance"


async def test_of_a_report_in_the_request(tmp_path: Path) -> None:
    """A report in the request is stored as a create would, and drafted."""
    async with server(tmp_path) as client:
        answer = await client.post("DiagnosticReport/$draft-impression", json=parameters(report=report()))
        assert answer.status_code == 200
        found = (await client.get("DiagnosticReport", params={"status": "partial", "identifier": "A1"})).json()
        assert any("presentedForm" in entry["resource"] for entry in found["entry"])


async def test_no_draft_in_time(tmp_path: Path) -> None:
    """A deadline that passes is 504, never an empty success; the draft comes when asked again."""
    model = HeldModel()
    async with server(tmp_path, model) as client:
        id = await store(client, report())
        late = await client.post(f"DiagnosticReport/{id}/$draft-impression", json=parameters(deadline=deadline(0)))
        assert (late.status_code, issue(late)) == (504, "timeout")
        model.free.set()
        assert (await client.post(f"DiagnosticReport/{id}/$draft-impression")).status_code == 200


async def test_no_draft_at_all(tmp_path: Path) -> None:
    """A model that makes none is 422 with a fixed reason."""
    async with server(tmp_path, FakeModel(error=PromptTooLong(9, 1))) as client:
        id = await store(client, report())
        answer = await client.post(f"DiagnosticReport/{id}/$draft-impression", json=parameters(deadline=deadline(60)))
        assert (answer.status_code, issue(answer)) == (422, "processing")


async def test_what_gets_no_draft(tmp_path: Path) -> None:
    """A signed report, one without findings, a draft itself and one that isn't there get none."""
    async with server(tmp_path) as client:
        for document in (report("A2", status="final"), report("A3", "")):
            id = await store(client, document)
            answer = await client.post(f"DiagnosticReport/{id}/$draft-impression")
            assert (answer.status_code, issue(answer)) == (422, "business-rule")
        first = await client.post("DiagnosticReport/$draft-impression", json=parameters(report=report()))
        ours = await client.post(
            "DiagnosticReport/$draft-impression", json=parameters(report=first.json()["entry"][1]["resource"])
        )
        assert (ours.status_code, issue(ours)) == (422, "business-rule")
        assert (await client.post("DiagnosticReport/none/$draft-impression")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (parameters(deadline=deadline(1) | {"code": "a"}), 400),
        (parameters(deadline=deadline(-1)), 400),
        (report(), 400),
        ({"resourceType": "Parameters", "parameter": [{"name": "other", "valueString": "x"}]}, 400),
        (parameters(report=report()), 400),
    ],
)
async def test_wrong_parameters(tmp_path: Path, body: Document, status: int) -> None:
    """Parameters that can't be understood are told with their place."""
    async with server(tmp_path) as client:
        id = await store(client, report())
        answer = await client.post(f"DiagnosticReport/{id}/$draft-impression", json=body)
        assert answer.status_code == status
        assert answer.json()["issue"][0]["expression"]


async def test_asked_for_later(tmp_path: Path) -> None:
    """An asynchronous request is 202 with an address; that is 202 until the draft is there, even after a restart."""
    model = HeldModel()
    async with server(tmp_path, model) as client:
        id = await store(client, report())
        accepted = await client.post(f"DiagnosticReport/{id}/$draft-impression", headers=ASYNC)
        assert accepted.status_code == 202
        address = accepted.headers["content-location"]
        assert "A1" not in address
        waiting = await client.get(address)
        assert (waiting.status_code, waiting.headers["retry-after"]) == (202, "1")
        assert waiting.headers["x-progress"]
    async with server(tmp_path) as client:
        job = address.rpartition("/fhir/")[2]
        async with asyncio.timeout(60):
            while (done := await client.get(job)).status_code == 202:
                await asyncio.sleep(0.01)
        assert done.status_code == 200
        validate(done.json())
        [entry] = done.json()["entry"]
        assert entry["response"]["status"] == "200 OK"
        assert entry["resource"]["entry"][0]["resource"]["valueString"] == "Right pleural effusion."


async def test_a_failed_job(tmp_path: Path) -> None:
    """A job that comes to nothing is 200 with the failure inside, as a batch has it."""
    async with server(tmp_path, FakeModel(error=PromptTooLong(9, 1))) as client:
        id = await store(client, report())
        accepted = await client.post(f"DiagnosticReport/{id}/$draft-impression", headers=ASYNC)
        async with asyncio.timeout(60):
            while (done := await client.get(accepted.headers["content-location"])).status_code == 202:
                await asyncio.sleep(0.01)
        validate(done.json())
        assert done.json()["entry"][0]["response"]["status"] == "422"


async def test_a_cancelled_job(tmp_path: Path) -> None:
    """A job that was taken back is unknown afterwards, as one that never was."""
    async with server(tmp_path, HeldModel()) as client:
        id = await store(client, report())
        address = (await client.post(f"DiagnosticReport/{id}/$draft-impression", headers=ASYNC)).headers[
            "content-location"
        ]
        assert (await client.delete(address)).status_code == 202
        for gone in (address, "$draft-status/none"):
            assert (await client.get(gone)).status_code == 404
        assert (await client.delete(address)).status_code == 404
