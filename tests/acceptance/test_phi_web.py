"""PHI stays out of logs, metrics and refusals of the web wires too, whatever is sent to them (rule 5)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from tests.support.cds import REPORT_DRAFT, call
from tests.support.fhircast import observation, put, report_context, update_context
from tests.support.fhircast_client import application
from tests.support.gateway import GatewayProcess

MARKERS = ("ZQMRN77", "ZQNAME", "ZQFIND", "ZQACC", "ZQTOPIC", "ZQCOMMENT", "ZQTOKEN", "ZQREASON")
ACSN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
# An element's name may be told to its sender, whose FHIRPath it is part of; it must not be logged.
FINDINGS = "There is a large ZQFIND mass in the right lung. ZQNAME was told."
JSON = {"content-type": "application/fhir+json"}


def patient() -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:oid:2.999.1", "value": "ZQMRN77"}],
        "name": [{"family": "ZQNAME", "given": ["JANE"]}],
    }


def report(accession: str = "ZQACC1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [{"type": ACSN, "value": accession}],
        "status": "partial",
        "code": {"text": "CT CHEST ZQREASON"},
        "conclusion": f"FINDINGS: {FINDINGS}\nIMPRESSION: none yet.",
    } | more


def bad_bodies() -> list[bytes]:
    """Bodies that are refused, each with markers wherever a message could quote them."""
    whole = json.dumps(report()).encode()
    return [
        whole[:-5],
        whole.replace(b'"partial"', b'"ZQFIND"'),
        whole.replace(b"DiagnosticReport", b"ZQNAME"),
        whole.replace(b'"status"', b'"ZQKEY"'),
        json.dumps(report(subject={"reference": "ZQNAME"})).encode(),
        json.dumps(report(issued="ZQMRN77")).encode(),
        json.dumps(report(contained=[{"resourceType": "ZQNAME"}])).encode(),
        b'{"resourceType":"DiagnosticReport","ZQKEY":{"ZQKEY":"ZQFIND"}}',
        b'{"ZQKEY":"ZQNAME","ZQKEY":"ZQNAME"}',
        b"[" * 200 + b'"ZQFIND"',
        b"ZQNAME \xff\xfe",
    ]


async def talk_fhir(http: httpx.AsyncClient) -> list[httpx.Response]:
    """Everything that may go wrong, and a little that goes well."""
    said = [await http.post("/fhir/Patient", json=patient()), await http.post("/fhir/DiagnosticReport", json=report())]
    said += [await http.post("/fhir/DiagnosticReport", content=body, headers=JSON) for body in bad_bodies()]
    for path in (
        "Patient?identifier=urn:oid:2.999.1|ZQMRN77&_count=1",
        "Patient?family=ZQNAME&name:ZQNAME=x",
        "Patient?birthdate=ZQMRN77",
        "Patient/ZQMRN77",
        "ZQNAME/ZQMRN77",
        "ZQNAME?family=ZQNAME",
        "DiagnosticReport?_page=ZQNAME",
        "DiagnosticReport/ZQACC1/_history/ZQACC1",
        "$draft-status/ZQACC1",
    ):
        said.append(await http.get(f"/fhir/{path}"))
    entry = {"fullUrl": "urn:ZQNAME", "resource": patient(), "request": {"method": "ZQNAME", "url": "ZQNAME/ZQMRN77"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    said.append(await http.post("/fhir", json=bundle))
    condition = {"if-none-exist": "identifier=ZQMRN77&ZQNAME=ZQNAME", "if-match": 'W/"ZQNAME"'}
    said.append(await http.post("/fhir/Patient", json=patient(), headers=condition))
    said.append(await http.put("/fhir/Patient/ZQMRN77", json=patient() | {"id": "ZQMRN77"}, headers=condition))
    hook: dict[str, Any] = {
        "type": "rest-hook",
        "endpoint": "http://ZQNAME.example/ZQTOKEN",
        "header": ["Authorization: ZQTOKEN"],
    }
    subscription = {"resourceType": "Subscription", "status": "requested", "reason": "x", "channel": hook}
    said.append(await http.post("/fhir/Subscription", json=subscription | {"criteria": "Patient?family=ZQNAME"}))
    return said


async def talk_cast(base: str, http: httpx.AsyncClient) -> list[httpx.Response]:
    """A session with content, and events that are refused."""
    said: list[httpx.Response] = []
    async with application(f"{base}/fhircast", topic="ZQTOPIC") as app:
        said.append(await app.post("DiagnosticReport-open", report_context("ZQACC2", "ZQACC2r")))
        version = (await app.context())["context.versionId"]
        update = update_context(put(observation(FINDINGS)), report="ZQACC2r")
        said.append(await app.post("DiagnosticReport-update", update, version))
        said.append(await app.post("DiagnosticReport-update", update, "ZQACC2"))
        said.append(await app.post("ZQNAME-open", report_context("ZQACC2", "ZQACC2r")))
        said.append(await app.post("DiagnosticReport-update", [{"key": "ZQNAME", "ZQFIND": 1}], version))
    said.append(
        await http.post("/fhircast", content=b'{"ZQNAME": "ZQTOPIC', headers={"content-type": "application/json"})
    )
    said.append(await http.post("/fhircast", data={"hub.topic": "ZQTOPIC", "hub.mode": "ZQNAME"}))
    return [*said, await http.get("/fhircast/ZQTOPIC2")]


async def talk_cds(http: httpx.AsyncClient) -> list[httpx.Response]:
    """A card, feedback with a comment, and calls that are refused."""
    told = call(context={"report": report("ZQACC3")}, fhirServer="http://ZQNAME.example/fhir")
    told |= {"fhirAuthorization": {"access_token": "ZQTOKEN"}}
    said = [await http.post(REPORT_DRAFT, json=told)]
    said.append(await http.post(REPORT_DRAFT, json=told | {"hookInstance": "ZQNAME"}))
    said.append(await http.post(REPORT_DRAFT, json=call(context={"reportId": "ZQACC9"}, fhirServer="http://ZQNAME/f")))
    outcome: dict[str, Any] = {"card": "ZQNAME", "outcome": "overridden", "outcomeTimestamp": "ZQNAME"}
    outcome |= {"overrideReason": {"userComment": "ZQCOMMENT"}}
    said.append(await http.post(f"{REPORT_DRAFT}/feedback", json={"feedback": [outcome]}))
    said.append(
        await http.post(f"{REPORT_DRAFT}/feedback", json={"feedback": [outcome | {"outcomeTimestamp": "2026-01-01"}]})
    )
    said.append(await http.post("/cds-services/ZQNAME", json=told))
    form = {"client_assertion": "ZQTOKEN.ZQNAME.x", "scope": "ZQNAME", "grant_type": "ZQNAME"}
    return [*said, await http.post("/oauth2/token", data=form)]


def url_of(gateway: GatewayProcess) -> str:
    return f"http://127.0.0.1:{gateway.http_port}"


def is_refusal(answer: httpx.Response) -> bool:
    return answer.status_code >= 400


async def test_no_marker_in_logs_metrics_and_refusals(tmp_path: Path) -> None:
    """Markers sent over every web wire turn up in no log line, no metric, and no answer that refuses something."""
    model = 'url = "embedded"\nstrategy = "coarse"\n[guard.policy]\nidentifier = "flag"'
    debug = {"RADBRIDGE_LOG__LEVEL": "debug"}
    anew = httpx.Limits(max_keepalive_connections=0)  # as in tests.support.fhircast_client
    async with (
        GatewayProcess(tmp_path, model=model, environment=debug) as gateway,
        httpx.AsyncClient(base_url=url_of(gateway), trust_env=False, timeout=60, limits=anew) as http,
    ):
        said = [*await talk_fhir(http), *await talk_cast(str(http.base_url), http), *await talk_cds(http)]
        drafts = "SELECT count(*) >= 3 FROM draft WHERE state <> 'stale'"
        await gateway.until(drafts, 1)
        metrics = gateway.get("/metrics")[1].decode()

    refusals = [answer for answer in said if is_refusal(answer)]
    assert len(refusals) > 25
    assert [answer for answer in said if answer.status_code >= 500] == []
    texts = {"log": gateway.log, "metrics": metrics} | {
        f"answer to {answer.request.method} number {said.index(answer)}": answer.text for answer in refusals
    }
    for where, text in texts.items():
        for marker in MARKERS if where.startswith("answer") else (*MARKERS, "ZQKEY"):
            assert marker not in text, f"{marker} in {where}: …{text[max(0, text.find(marker) - 300) :][:400]}"
    kept = gateway.query("SELECT count(*) FROM draft_feedback")
    assert kept == [(0,)], "feedback on a card that nobody showed is only counted"
