"""The FHIR server over a real socket: the interactions of R4 http.html, one by one."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from radbridge_adapters.fhir import reading
from radbridge_adapters.fhir.http import MAX_PARAMETERS
from tests.support.fhir import FINDINGS, order, patient, report
from tests.support.fhir_fixtures import client, gateway
from tests.support.live import LiveGateway

__all__ = ["client", "gateway"]


def issue_of(answer: httpx.Response) -> dict[str, Any]:
    """The first issue of an OperationOutcome."""
    document: dict[str, Any] = answer.json()
    assert document["resourceType"] == "OperationOutcome"
    issue: dict[str, Any] = document["issue"][0]
    return issue


async def test_a_report_in_progress_becomes_a_draft(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """A DiagnosticReport that isn't signed is stored, becomes a case, and its findings a draft."""
    made = await client.post("DiagnosticReport", json=report())
    assert made.status_code == 201
    location = made.headers["location"]
    assert location == f"{gateway.base}/fhir/DiagnosticReport/{made.json()['id']}/_history/1"
    assert made.headers["etag"] == 'W/"1"'
    assert made.headers["content-type"] == "application/fhir+json; charset=utf-8"
    assert (await client.get(location)).json() == made.json()
    await gateway.until(lambda: gateway.drafts("A1"))
    case = gateway.case("A1")
    assert case is not None
    assert case.report.findings == FINDINGS
    assert gateway.drafts("A1")[0].draft.text == "Right pleural effusion."


async def test_a_create_takes_no_id_of_the_client(client: httpx.AsyncClient) -> None:
    """The server names what is created; a client's id and version are left out, all else is kept as it came."""
    sent = patient(id="mine", meta={"versionId": "9", "source": "urn:x"}, multipleBirthInteger=2)
    made = (await client.post("Patient", json=sent)).json()
    assert made["id"] != "mine"
    assert made["meta"]["versionId"] == "1"
    assert made["meta"]["source"] == "urn:x"
    assert {k: v for k, v in made.items() if k not in ("id", "meta")} == {
        k: v for k, v in sent.items() if k not in ("id", "meta")
    }


async def test_numbers_are_kept_digit_for_digit(client: httpx.AsyncClient) -> None:
    """`1.10` comes back as `1.10` (R4 json.html: precision is significant)."""
    raw = (
        b'{"resourceType":"Observation","status":"final","code":{"text":"Size"},'
        b'"valueQuantity":{"value":1.10,"unit":"cm"}}'
    )
    made = await client.post("Observation", content=raw)
    assert b'"value":1.10' in (await client.get(made.headers["location"])).content


async def test_prefer_return(client: httpx.AsyncClient) -> None:
    """The client chooses how much it gets back of what it stored."""
    for prefer, kind in {"minimal": "", "representation": "Patient", "OperationOutcome": "OperationOutcome"}.items():
        answer = await client.post("Patient", json=patient(), headers={"prefer": f"return={prefer}"})
        assert answer.status_code == 201
        assert (answer.json()["resourceType"] if answer.content else "") == kind


async def test_versions(client: httpx.AsyncClient) -> None:
    """Every update is a version of its own; each can be read, and the history tells them, newest first."""
    made = (await client.post("Patient", json=patient())).json()
    address = f"Patient/{made['id']}"
    second = await client.put(address, json=made | {"gender": "male"}, headers={"if-match": 'W/"1"'})
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
    assert (await client.get(f"{address}/_history/1")).json()["gender"] == "female"
    assert (await client.get(f"{address}/_history/2")).json()["gender"] == "male"
    assert (await client.get(f"{address}/_history/3")).status_code == 404
    history = (await client.get(f"{address}/_history")).json()
    assert (history["type"], history["total"]) == ("history", 2)
    assert [e["resource"]["meta"]["versionId"] for e in history["entry"]] == ["2", "1"]
    assert [e["request"]["method"] for e in history["entry"]] == ["PUT", "POST"]
    page = (await client.get(f"{address}/_history?_count=1")).json()
    following = next(link["url"] for link in page["link"] if link["relation"] == "next")
    assert [e["resource"]["meta"]["versionId"] for e in (await client.get(following)).json()["entry"]] == ["1"]


async def test_if_match(client: httpx.AsyncClient) -> None:
    """An update of another version than the present one is refused with 412, and changes nothing."""
    made = (await client.post("Patient", json=patient())).json()
    address = f"Patient/{made['id']}"
    for tag in ('W/"2"', '"0"', "7", 'W/"abc"'):
        answer = await client.put(address, json=made | {"gender": "male"}, headers={"if-match": tag})
        assert answer.status_code == 412
        assert issue_of(answer)["expression"] == ["Patient.meta.versionId"]
    assert (await client.get(address)).json() == made
    for tag in ("1", '"2"'):
        made = (await client.put(address, json=made | {"active": tag == "1"}, headers={"if-match": tag})).json()
    assert made["meta"]["versionId"] == "3"
    absent = await client.put("Patient/none", json=patient(id="none"), headers={"if-match": 'W/"1"'})
    assert absent.status_code == 412
    assert (await client.put(address, json=made, headers={"if-match": "a b"})).status_code == 400


async def test_an_equal_update_makes_no_version(client: httpx.AsyncClient) -> None:
    """Storing what is stored already answers 200 with the version that is there."""
    made = (await client.post("Patient", json=patient())).json()
    again = await client.put(f"Patient/{made['id']}", json=made)
    assert (again.status_code, again.headers["etag"]) == (200, 'W/"1"')


async def test_update_as_create(client: httpx.AsyncClient) -> None:
    """A PUT to an id that isn't there makes it; the body has to name that very id."""
    assert (await client.put("Patient/mine", json=patient(id="mine"))).status_code == 201
    assert (await client.get("Patient/mine")).status_code == 200
    assert issue_of(await client.put("Patient/mine", json=patient(id="other")))["expression"] == ["Patient.id"]
    assert (await client.put("Patient/mine", json=patient())).status_code == 400


async def test_conditional_create(client: httpx.AsyncClient) -> None:
    """If-None-Exist: none makes one, one is answered as it stands, several are refused."""
    condition = {"if-none-exist": "identifier=urn:oid:1.2.3|900001"}
    first = await client.post("Patient", json=patient(), headers=condition)
    second = await client.post("Patient", json=patient(gender="male"), headers=condition)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.headers["location"] == first.headers["location"]
    assert second.json() == first.json()
    await client.post("Patient", json=patient())
    third = await client.post("Patient", json=patient(), headers=condition)
    assert (third.status_code, issue_of(third)["code"]) == (412, "multiple-matches")
    as_fhirpy = await client.post("Patient?identifier=urn:oid:1.2.3|900002", json=patient("900002"))
    again = await client.post("Patient?identifier=urn:oid:1.2.3|900002", json=patient("900002"))
    assert (as_fhirpy.status_code, again.status_code) == (201, 200)


async def test_criteria_that_nobody_knows(client: httpx.AsyncClient) -> None:
    """A condition that would be ignored is refused: it would fit everything."""
    for criteria in ("nonsense=1", "_count=1", "identifier=", "identifier:above=1"):
        answer = await client.post("Patient", json=patient(), headers={"if-none-exist": criteria})
        assert answer.status_code == 400
    assert (await client.get("Patient?_summary=count")).json()["total"] == 0


async def test_conditional_update(client: httpx.AsyncClient) -> None:
    """PUT with criteria: none makes one (under the body's id, if it has one), one is updated, several are refused."""
    address = "Patient?identifier=urn:oid:1.2.3|900001"
    first = await client.put(address, json=patient())
    second = await client.put(address, json=patient(gender="male"))
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["id"] == first.json()["id"]
    assert second.json()["meta"]["versionId"] == "2"
    assert (await client.put(address, json=patient(id="other"))).status_code == 400
    named = await client.put("Patient?identifier=urn:oid:1.2.3|7", json=patient("7", id="seven"))
    assert (named.status_code, named.json()["id"]) == (201, "seven")
    await client.post("Patient", json=patient())
    assert (await client.put(address, json=patient())).status_code == 412


async def test_not_modified(client: httpx.AsyncClient) -> None:
    """Who has the present version already gets 304 and no body."""
    made = await client.post("Patient", json=patient())
    address = f"Patient/{made.json()['id']}"
    same = await client.get(address, headers={"if-none-match": made.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert (await client.get(address, headers={"if-none-match": 'W/"2"'})).status_code == 200


NOT_HERE: list[tuple[str, str, int, str]] = [
    ("GET", "Patient/none", 404, "not-found"),
    ("GET", "Account/1", 404, "not-supported"),
    ("GET", "Nonsense/1", 404, "not-found"),
    ("GET", "Patient/a_b", 404, "not-found"),
    ("DELETE", "Patient/1", 405, "not-supported"),
    ("PATCH", "Patient/1", 405, "not-supported"),
    ("POST", "AuditEvent", 405, "not-supported"),
    ("PUT", "AuditEvent/1", 405, "not-supported"),
    ("POST", "metadata", 405, "not-supported"),
    ("GET", "Patient?identifier:above=1", 400, "not-supported"),
]


async def test_what_is_not_here(client: httpx.AsyncClient) -> None:
    """Whatever isn't here or isn't taken is told in an OperationOutcome."""
    for method, path, status, code in NOT_HERE:
        answer = await client.request(method, path, json=patient())
        assert (answer.status_code, issue_of(answer)["code"]) == (status, code)
        if status == 405:
            assert "DELETE" not in answer.headers["allow"]


FORMATS: list[tuple[dict[str, str], str, int]] = [
    ({"accept": "application/fhir+xml"}, "metadata", 406),
    ({"accept": "application/fhir+xml, application/fhir+json;q=0"}, "metadata", 406),
    ({"accept": "application/fhir+xml;q=0.9, */*;q=0.1"}, "Patient", 200),
    ({"accept": "application/json"}, "Patient", 200),
    ({"accept": ""}, "Patient?_format=xml", 406),
    ({"accept": "application/fhir+xml"}, "Patient?_format=json", 200),
    ({}, "Patient?_format=application/fhir+json", 200),
]


async def test_only_json(client: httpx.AsyncClient) -> None:
    """XML is answered 406, and JSON under any of its names is taken; `_format` weighs more than Accept."""
    for headers, path, status in FORMATS:
        answer = await client.get(path, headers=headers)
        assert answer.status_code == status


async def test_only_json_is_read(client: httpx.AsyncClient) -> None:
    """A body of another kind is answered 415."""
    for kind in ("application/fhir+xml", "text/plain", "application/json; charset=latin-1", ""):
        answer = await client.post("Patient", json=patient(), headers={"content-type": kind})
        assert (answer.status_code, issue_of(answer)["code"]) == (415, "not-supported")


async def test_every_error_with_its_path(client: httpx.AsyncClient) -> None:
    """All problems of a resource come at once, each with its FHIRPath; what was refused is kept for the operator."""
    answer = await client.post("Patient", json=patient(gender="nonsense", active="yes", birthDate="1970-13-01"))
    assert answer.status_code == 400
    places = {issue["expression"][0] for issue in answer.json()["issue"]}
    assert places == {"Patient.gender", "Patient.active", "Patient.birthDate"}


async def test_a_rule_broken_is_422(client: httpx.AsyncClient) -> None:
    """A well-formed resource with a code outside its value set is unprocessable."""
    answer = await client.post("Patient", json=patient(gender="nonsense"))
    assert (answer.status_code, issue_of(answer)["code"]) == (422, "code-invalid")


async def test_head(client: httpx.AsyncClient) -> None:
    """HEAD is GET without its body."""
    made = await client.post("Patient", json=patient())
    answer = await client.head(f"Patient/{made.json()['id']}")
    assert (answer.status_code, answer.headers["etag"], answer.content) == (200, 'W/"1"', b"")


async def test_the_signed_report_closes_the_case(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """The same resource, final: the case is signed. Entered in error: withdrawn."""
    made = (await client.post("DiagnosticReport", json=report())).json()
    await gateway.until(lambda: gateway.drafts("A1"))
    signed = made | {"status": "final", "conclusion": "Effusion on the right."}
    await client.put(f"DiagnosticReport/{made['id']}", json=signed)
    await gateway.until(lambda: (case := gateway.case("A1")) and case.state == "signed")
    await client.put(f"DiagnosticReport/{made['id']}", json=made | {"status": "entered-in-error"})
    await gateway.until(lambda: (case := gateway.case("A1")) and case.state == "withdrawn")


async def test_an_order_makes_a_case(gateway: LiveGateway, client: httpx.AsyncClient) -> None:
    """A ServiceRequest is an order; revoked, it cancels the case."""
    made = (await client.post("ServiceRequest", json=order("A2"))).json()
    await gateway.until(lambda: gateway.case("A2"))
    await client.put(f"ServiceRequest/{made['id']}", json=made | {"status": "revoked"})
    await gateway.until(lambda: (case := gateway.case("A2")) and case.state == "cancelled")


async def test_a_history_has_so_many_versions(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """One page of a history has no more than the limit, whatever is asked for; the rest is on the next."""
    monkeypatch.setattr(reading, "MAX_HISTORY", 1)
    made = (await client.post("Patient", json=patient())).json()
    await client.put(f"Patient/{made['id']}", json=made | {"gender": "male"})
    history = (await client.get(f"Patient/{made['id']}/_history?_count=50")).json()
    assert (history["total"], len(history["entry"])) == (2, 1)
    assert "next" in {link["relation"] for link in history["link"]}


async def test_a_query_has_so_many_parameters(client: httpx.AsyncClient) -> None:
    """A query with more parameters than anybody needs isn't read at all."""
    assert (await client.get("Patient?" + "&".join(["_count=1"] * MAX_PARAMETERS))).status_code == 200
    assert (await client.get("Patient?" + "&".join(["_count=1"] * (MAX_PARAMETERS + 1)))).status_code == 400
