"""Transactions and batches over a real socket."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.fhir import FINDINGS, observation, order, patient, report
from tests.support.fhir_fixtures import client, gateway
from tests.support.live import LiveGateway

__all__ = ["client", "gateway"]

URN = "urn:uuid:00000000-0000-4000-8000-00000000000"


def bundle(*entries: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def post(document: dict[str, Any], urn: str = "", **request: str) -> dict[str, Any]:
    named = {"fullUrl": urn} if urn else {}
    return {**named, "resource": document, "request": {"method": "POST", "url": document["resourceType"], **request}}


def put(url: str, document: dict[str, Any], **request: str) -> dict[str, Any]:
    return {"resource": document, "request": {"method": "PUT", "url": url, **request}}


def get(url: str) -> dict[str, Any]:
    return {"request": {"method": "GET", "url": url}}


async def total(client: httpx.AsyncClient, query: str) -> int:
    return int((await client.get(f"{query}{'&' if '?' in query else '?'}_summary=count")).json()["total"])


def dictation() -> list[dict[str, Any]]:
    """A report, its patient, order and observation, each named by a URN; the report first."""
    told = report(
        "A1",
        "",
        subject={"reference": URN + "1"},
        basedOn=[{"reference": URN + "2"}],
        result=[{"reference": URN + "3"}],
    )
    return [
        post(told, URN + "4"),
        post(patient(), URN + "1"),
        post(order(subject={"reference": URN + "1"}), URN + "2"),
        post(observation(subject={"reference": URN + "1"}), URN + "3"),
    ]


async def test_a_whole_dictation_in_one(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """Temporary names become references, the answers come in the order of the entries, and a draft follows."""
    answer = await client.post("", json=bundle(*dictation()))
    assert answer.status_code == 200
    document = answer.json()
    assert document["type"] == "transaction-response"
    places = [e["response"]["location"].split("/")[0] for e in document["entry"]]
    assert places == ["DiagnosticReport", "Patient", "ServiceRequest", "Observation"]
    assert {e["response"]["status"] for e in document["entry"]} == {"201 Created"}
    told, person = (document["entry"][n]["resource"] for n in (0, 1))
    assert told["subject"]["reference"] == f"Patient/{person['id']}"
    await gateway.until(lambda: gateway.drafts("A1"))
    case = gateway.case("A1")
    assert case is not None
    assert (case.patient.id, case.report.findings) == ("900001", FINDINGS)


async def test_all_or_nothing(client: httpx.AsyncClient) -> None:
    """One entry that can't be done, and none is."""
    made = (await client.post("Patient", json=patient("900009"))).json()
    for broken, status in (
        (put(f"Patient/{made['id']}", made, ifMatch='W/"7"'), 412),
        (post(patient(gender="nonsense")), 422),
        (post(order(subject={"reference": "Patient/none"})), 400),
        (post(order(subject={"reference": URN + "9"})), 400),
        (post(order(subject={"reference": "Patient?identifier=none"})), 412),
        (get("Patient/none"), 404),
        ({"request": {"method": "DELETE", "url": f"Patient/{made['id']}"}}, 400),
        (put("Patient/other", patient(id="mine")), 400),
    ):
        if broken["request"]["method"] == "GET":
            continue
        answer = await client.post("", json=bundle(post(patient()), broken))
        assert answer.status_code == status, answer.text
        issue = answer.json()["issue"][0]
        assert "entry[1]" in issue["expression"][0], issue
    assert await total(client, "Patient") == 1


async def test_references_by_criteria(client: httpx.AsyncClient) -> None:
    """`Patient?identifier=…` becomes the one patient it fits."""
    made = (await client.post("Patient", json=patient())).json()
    reference = {"reference": "Patient?identifier=urn:oid:1.2.3|900001"}
    answer = await client.post("", json=bundle(post(order(subject=reference))))
    assert answer.json()["entry"][0]["resource"]["subject"] == {"reference": f"Patient/{made['id']}"}


async def test_conditional_entries(client: httpx.AsyncClient) -> None:
    """A resource that is there already takes the place of the one that was to be made, for the references too."""
    made = (await client.post("Patient", json=patient())).json()
    entries = dictation()
    entries[1]["request"]["ifNoneExist"] = "identifier=urn:oid:1.2.3|900001"
    answer = (await client.post("", json=bundle(*entries))).json()
    assert answer["entry"][1]["response"]["status"] == "200 OK"
    assert answer["entry"][0]["resource"]["subject"]["reference"] == f"Patient/{made['id']}"
    assert await total(client, "Patient") == 1


async def test_the_same_transaction_again(client: httpx.AsyncClient) -> None:
    """With conditions on every entry a transaction can be sent again: nothing is made twice."""
    entries = dictation()
    for entry, criteria in zip(entries, ("A1", "900001", "A1"), strict=False):
        entry["request"]["ifNoneExist"] = f"identifier={criteria}"
    entries[3]["request"]["ifNoneExist"] = "code=59776-5"
    for status in ("201 Created", "200 OK"):
        answer = (await client.post("", json=bundle(*entries))).json()
        assert {e["response"]["status"] for e in answer["entry"]} == {status}


async def test_cycles(client: httpx.AsyncClient) -> None:
    """Two resources may refer to each other."""
    one = patient(link=[{"type": "seealso", "other": {"reference": URN + "2"}}])
    two = patient("900002", link=[{"type": "seealso", "other": {"reference": URN + "1"}}])
    answer = await client.post("", json=bundle(post(one, URN + "1"), post(two, URN + "2")))
    ids = [e["resource"]["id"] for e in answer.json()["entry"]]
    assert [e["resource"]["link"][0]["other"]["reference"] for e in answer.json()["entry"]] == [
        f"Patient/{ids[1]}",
        f"Patient/{ids[0]}",
    ]


async def test_two_entries_on_one_resource(client: httpx.AsyncClient) -> None:
    """Which of the two would win is nobody's guess: 400, also where criteria lead both to one."""
    twice = bundle(put("Patient/a", patient(id="a")), put("Patient/a", patient(id="a", active=True)))
    answer = await client.post("", json=twice)
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (400, ["Bundle.entry[1].request.url"])
    made = (await client.post("Patient", json=patient())).json()
    by_criteria = bundle(put(f"Patient/{made['id']}", made), put("Patient?identifier=900001", patient(gender="male")))
    assert (await client.post("", json=by_criteria)).status_code == 400


async def test_reads_come_after_writes(client: httpx.AsyncClient) -> None:
    """Whatever the order of the entries, a search in a transaction sees what it wrote."""
    answer = (await client.post("", json=bundle(get("Patient?identifier=900001"), post(patient())))).json()
    assert answer["entry"][0]["resource"]["total"] == 1
    assert answer["entry"][1]["response"]["status"] == "201 Created"


async def test_a_batch_is_each_alone(client: httpx.AsyncClient) -> None:
    """What is wrong with one entry of a batch is told at its place and harms no other."""
    entries = [
        post(patient()),
        post(patient(gender="nonsense")),
        get("Patient/none"),
        {"request": {"method": "DELETE", "url": "Patient/1"}},
        post(order(subject={"reference": URN + "1"})),
        {"fullUrl": "x"},
        get("Patient?identifier=900001"),
    ]
    answer = (await client.post("", json=bundle(*entries, kind="batch"))).json()
    assert answer["type"] == "batch-response"
    assert [e["response"]["status"][:3] for e in answer["entry"]] == ["201", "422", "404", "405", "400", "422", "200"]
    issue = answer["entry"][1]["response"]["outcome"]["issue"][0]
    assert issue["expression"] == ["Bundle.entry[1].resource.gender"]


async def test_only_batches_and_transactions(client: httpx.AsyncClient) -> None:
    """The server itself takes nothing else, and no more entries than it says."""
    assert (await client.post("", json=patient())).status_code == 400
    assert (await client.post("", json=bundle(kind="collection"))).status_code == 400
    assert (await client.post("", json=bundle())).status_code in (200, 400)
    many = await client.post("", json=bundle(*[post(patient())] * 501))
    assert (many.status_code, many.json()["issue"][0]["code"]) == (413, "too-costly")


async def test_a_bundles_identifier_is_none_of_a_message(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """Two transactions under one identifier are two: what may come twice is told by If-None-Exist or If-Match."""
    for accession in ("A1", "A2"):  # without a text: a draft of ours would be a report, too
        named = bundle(post(report(accession, ""))) | {"identifier": {"system": "urn:sender", "value": "1"}}
        assert (await client.post("", json=named)).status_code == 200
    assert await total(client, "DiagnosticReport") == 2
    assert "radbridge_control_ids_reused_total 0.0" in gateway.metrics.page().decode()
