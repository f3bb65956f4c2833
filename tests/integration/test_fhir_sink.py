"""Drafts out to FHIR servers: one that nobody here wrote, one that misbehaves, and our own."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from radbridge.errors import DeliveryFailed, DeliveryMoot, DeliveryRefused
from radbridge_adapters.fhir.sinks.server import FhirServerSink
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.codes import DRAFT_SYSTEM
from radbridge_adapters.resources.draft import Composer
from radbridge_adapters.resources.json import read_json
from radbridge_adapters.rest import FhirClient
from tests.support.drafts import CASE, DRAFT
from tests.support.fhir import report
from tests.support.fhir_process import running
from tests.support.http_peer import answer, run_peer
from tests.support.peers import fhir_server
from tests.support.relay import Passing, relay

Document = dict[str, Any]

OURS = f"{DRAFT_SYSTEM}|ca5e"
ACCESSIONS = Accessions(types=frozenset({"ACSN"}), systems=frozenset())
SECOND = replace(DRAFT, id="D2", text="Changed.")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hospital's server may be slow to let us in."""
    monkeypatch.setattr("radbridge_adapters.rest.client._CONNECT_S", 60.0)


def make_sink(url: str, *, in_one: bool) -> FhirServerSink:
    composer = Composer(lambda key: "ca5e", ttl=timedelta(hours=24))
    return FhirServerSink(FhirClient("hospital", url, timeout_s=60.0), composer, ACCESSIONS, in_one=in_one)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[str]:
    async with fhir_server() as base:
        yield base


@pytest.fixture
async def hospital(server: str) -> AsyncIterator[httpx.AsyncClient]:
    """The hospital's server, empty."""
    async with httpx.AsyncClient(base_url=server, timeout=60) as client:
        (await client.delete(server)).raise_for_status()
        yield client


async def find(client: httpx.AsyncClient, kind: str, **criteria: str) -> list[Document]:
    found = (await client.get(f"/{kind}", params=criteria)).json()
    return [entry["resource"] for entry in found.get("entry", [])]


async def versions(client: httpx.AsyncClient, resource: Document) -> int:
    history = (await client.get(f"/{resource['resourceType']}/{resource['id']}/_history")).json()
    return len(history["entry"])


@pytest.fixture(params=[True, False], ids=["transaction", "separate"])
async def sink(request: pytest.FixtureRequest, hospital: httpx.AsyncClient) -> AsyncIterator[FhirServerSink]:
    made = make_sink(str(hospital.base_url), in_one=request.param)
    yield made
    await made.close()


async def test_a_draft_arrives(sink: FhirServerSink, hospital: httpx.AsyncClient) -> None:
    """A draft is one Observation, one report that has it as its result, and a Provenance of both."""
    await sink.ping()
    await sink.deliver("C1", sink.compose(CASE, DRAFT, "C1"))
    [observation] = await find(hospital, "Observation", identifier=OURS)
    [ours] = await find(hospital, "DiagnosticReport", identifier=OURS)
    [provenance] = await find(hospital, "Provenance", target=f"DiagnosticReport/{ours['id']}")
    assert observation["valueString"] == ours["conclusion"] == DRAFT.text
    assert (observation["status"], ours["status"]) == ("preliminary", "partial")
    assert ours["result"][0]["reference"] == f"Observation/{observation['id']}"
    assert provenance["meta"]["tag"] == [{"system": DRAFT_SYSTEM, "code": DRAFT.id}]


async def test_versions_are_drafts(sink: FhirServerSink, hospital: httpx.AsyncClient) -> None:
    """A draft sent again, as after a kill before the answer was noted, makes nothing new; a redraft is a version."""
    first, second = sink.compose(CASE, DRAFT, "C1"), sink.compose(CASE, SECOND, "C2")
    for payload in (first, first, second, second, sink.compose_withdrawal(CASE, SECOND, "C3")):
        await sink.deliver("C", payload)
    [ours] = await find(hospital, "DiagnosticReport", identifier=OURS)
    [observation] = await find(hospital, "Observation", identifier=OURS)
    assert await versions(hospital, ours) == await versions(hospital, observation) == 3
    assert len(await find(hospital, "Provenance")) == 3
    assert ours["status"] == observation["status"] == "entered-in-error"
    assert "conclusion" not in ours
    assert "valueString" not in observation


async def test_beside_the_hospitals_report(sink: FhirServerSink, hospital: httpx.AsyncClient) -> None:
    """The draft gets the patient and order of the hospital's own report, which is not touched."""
    accession = {"type": {"coding": [{"code": "ACSN"}]}, "assigner": {"display": "RIS"}, "value": "ACC900001"}
    theirs = (
        await hospital.post(
            "/DiagnosticReport",
            json={
                "resourceType": "DiagnosticReport",
                "status": "partial",
                "code": {"text": "CT"},
                "identifier": [accession],
                "subject": {"reference": "Patient/p1"},
                "basedOn": [{"reference": "ServiceRequest/s1"}],
            },
        )
    ).json()
    await sink.deliver("C1", sink.compose(CASE, DRAFT, "C1"))
    [ours] = await find(hospital, "DiagnosticReport", identifier=OURS)
    [provenance] = await find(hospital, "Provenance")
    assert ours["subject"]["reference"] == "Patient/p1"
    assert ours["basedOn"][0]["reference"] == "ServiceRequest/s1"
    assert provenance["entity"][0]["what"]["reference"] == f"DiagnosticReport/{theirs['id']}"
    assert (await hospital.get(f"/DiagnosticReport/{theirs['id']}")).json() == theirs


async def test_a_signed_draft_is_left_alone(sink: FhirServerSink, hospital: httpx.AsyncClient) -> None:
    """Once a human has signed our report there, it is never overwritten: neither by a redraft nor by a withdrawal."""
    await sink.deliver("C1", sink.compose(CASE, DRAFT, "C1"))
    [ours] = await find(hospital, "DiagnosticReport", identifier=OURS)
    await hospital.put(f"/DiagnosticReport/{ours['id']}", json={**ours, "status": "final"})
    for payload in (sink.compose(CASE, SECOND, "C2"), sink.compose_withdrawal(CASE, DRAFT, "C3")):
        with pytest.raises(DeliveryMoot):
            await sink.deliver("C", payload)
    [ours] = await find(hospital, "DiagnosticReport", identifier=OURS)
    assert (ours["status"], ours["conclusion"]) == ("final", DRAFT.text)


async def test_nothing_to_take_back(sink: FhirServerSink, hospital: httpx.AsyncClient) -> None:
    """A draft that never arrived leaves no trace when it is withdrawn."""
    await sink.deliver("C1", sink.compose_withdrawal(CASE, DRAFT, "C1"))
    assert not await find(hospital, "DiagnosticReport")


async def test_two_of_ours_are_refused(sink: FhirServerSink, hospital: httpx.AsyncClient) -> None:
    """With two reports under our identifier none is guessed at: an operator is asked."""
    twin = {"resourceType": "DiagnosticReport", "status": "partial", "code": {"text": "x"}}
    for _ in range(2):
        await hospital.post(
            "/DiagnosticReport", json={**twin, "identifier": [{"system": DRAFT_SYSTEM, "value": "ca5e"}]}
        )
    with pytest.raises(DeliveryRefused):
        await sink.deliver("C1", sink.compose(CASE, DRAFT, "C1"))


def is_transaction(passing: Passing) -> bool:
    return passing.method == "POST" and passing.path.rstrip("/").endswith("/R4")


async def test_a_version_that_changes_meanwhile(hospital: httpx.AsyncClient) -> None:
    """An update names the version it was made from; a 412 is tried again from a fresh look, and then goes through."""
    left = [412]
    async with relay(
        str(hospital.base_url).rstrip("/"), lambda p: left.pop() if left and is_transaction(p) else None
    ) as between:
        sink = make_sink(between.url, in_one=True)
        payload = sink.compose(CASE, DRAFT, "C1")
        with pytest.raises(DeliveryFailed) as failed:
            await sink.deliver("C1", payload)
        assert failed.value.sent
        await sink.deliver("C1", payload)
        await sink.deliver("C2", sink.compose(CASE, SECOND, "C2"))
        await sink.close()
    sent = [read_json(passing.body) for passing in between.seen if is_transaction(passing)]
    assert ["ifMatch" in entry["request"] for entry in sent[-1]["entry"]] == [True, True, False]
    [ours] = await find(hospital, "DiagnosticReport", identifier=OURS)
    assert ours["conclusion"] == "Changed."


async def test_killed_before_the_answer(hospital: httpx.AsyncClient, tmp_path: Path) -> None:
    """Killed after the server stored the draft and before its answer came, RadBridge makes no second one of it."""
    async with relay(str(hospital.base_url).rstrip("/"), lambda p: None) as between:
        async with running(tmp_path, between.url) as (base, process):
            between.after = lambda p: process.kill() if is_transaction(p) else None
            async with httpx.AsyncClient(base_url=f"{base}/fhir/", timeout=60) as client:
                assert (await client.post("DiagnosticReport", json=report())).status_code == 201
            await process.wait()
        between.after = lambda p: None
        confirmed = "SELECT count(*) FROM delivery WHERE destination = 'hospital' AND state = 'confirmed'"
        async with running(tmp_path, between.url):
            async with asyncio.timeout(60):
                while not read_journal(tmp_path, confirmed):
                    await asyncio.sleep(0.05)
    assert sum(is_transaction(p) for p in between.seen) == 1
    [made] = [one for one in await find(hospital, "DiagnosticReport") if one["status"] == "partial"]
    assert await versions(hospital, made) == 1
    assert len(await find(hospital, "Provenance")) == 1


def read_journal(folder: Path, query: str) -> int:
    with closing(sqlite3.connect(folder / "radbridge.db", timeout=60)) as conn:
        return int(conn.execute(query).fetchone()[0])


@pytest.mark.parametrize(
    ("status", "error"),
    [(408, DeliveryFailed), (429, DeliveryFailed), (500, DeliveryFailed), (503, DeliveryFailed), (400, DeliveryRefused),
     (403, DeliveryRefused), (422, DeliveryRefused)],
)  # fmt: skip
async def test_what_is_tried_again(status: int, error: type[Exception]) -> None:
    """A server that is busy or broken is tried again; one that says no is not asked for ever."""
    async with relay("http://127.0.0.1:9/fhir", lambda p: status) as between:
        sink = make_sink(between.url, in_one=True)
        with pytest.raises(error) as refused:
            await sink.deliver("C1", sink.compose(CASE, DRAFT, "C1"))
        assert "ACC900001" not in str(refused.value)
        await sink.close()


async def test_a_busy_server_says_when() -> None:
    """A server that says when to come again is taken at its word."""
    replies = {"/fhir/Observation/_search": answer(503, {}, retry_after="7")}
    async with run_peer(replies) as peer:
        sink = make_sink(f"{peer.url}/fhir", in_one=True)
        with pytest.raises(DeliveryFailed) as failed:
            await sink.deliver("C1", sink.compose(CASE, DRAFT, "C1"))
        assert failed.value.retry_after_s == 7.0
        await sink.close()


async def test_no_patient_in_a_url(hospital: httpx.AsyncClient) -> None:
    """Neither the accession nor the patient's number is ever in the URL of a request."""
    for in_one in (True, False):
        async with relay(str(hospital.base_url).rstrip("/"), lambda p: None) as between:
            sink = make_sink(between.url, in_one=in_one)
            await sink.deliver("C1", sink.compose(CASE, DRAFT, "C1"))
            await sink.close()
        assert between.seen
        assert not [p.path for p in between.seen if "900001" in p.path]


async def test_nobody_there() -> None:
    """A server that isn't there costs no attempt."""
    sink = make_sink("http://127.0.0.1:9/fhir", in_one=True)
    for attempt in (sink.ping(), sink.deliver("C1", sink.compose(CASE, DRAFT, "C1"))):
        with pytest.raises(DeliveryFailed) as failed:
            await attempt
        assert not failed.value.sent
    await sink.close()


def test_nothing_of_the_patient_in_a_payload() -> None:
    """A payload names the patient by number only."""
    sink = make_sink("http://127.0.0.1:9/fhir", in_one=True)
    assert "DOE" not in json.dumps(read_json(sink.compose(CASE, DRAFT, "C1")))
