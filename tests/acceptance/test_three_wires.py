"""One case on three wires: it comes in by HL7 v2, changes by FHIRcast, and its drafts go out on all three alike."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
from hl7.client import MLLPClient

from tests.support.dictation import Dictation, listening
from tests.support.fhircast import observation, put, report_context, update_context
from tests.support.fhircast_client import Cast, application
from tests.support.gateway import GatewayProcess
from tests.support.peers import Validator, fhir_server
from tests.support.ris import Ris

ACCESSION = "A500100"
FIRST = "The heart is normal in size. There is a 6 mm nodule in the right upper lobe."
SECOND = "The heart is normal in size. There is a large left pneumothorax with mediastinal shift."
EXTENSION = "https://radbridge.dev/fhir/StructureDefinition"
DRAFT_SYSTEM = "https://radbridge.dev/fhir/draft"


def send(port: int, *messages: bytes) -> None:
    with MLLPClient("127.0.0.1", port) as client:
        for message in messages:
            assert b"|AA|" in client.send_message(message)


def text_of(observation: dict[str, Any]) -> str:
    return str(observation["valueString"])


def told(resource: dict[str, Any], name: str) -> list[Any]:
    """Our extensions of this name."""
    return [one for one in resource["extension"] if one["url"] == f"{EXTENSION}/{name}"]


def flags_of(resource: dict[str, Any]) -> list[str]:
    """`severity: kind: message`, as an NTE has it."""
    found = []
    for flag in told(resource, "flag"):
        parts = {part["url"]: next((v for k, v in part.items() if k != "url"), "") for part in flag["extension"]}
        found.append(f"{parts['severity']}: {parts['kind']}: {parts['message']}")
    return found


async def search(http: httpx.AsyncClient, base: str, kind: str, text: str) -> dict[str, Any]:
    """Our one resource of this type on a FHIR server, once it says `text`."""
    where = "valueString" if kind == "Observation" else "conclusion"
    async with asyncio.timeout(60):
        while True:
            answer = await http.get(f"{base}/{kind}", params={"_count": "50"})
            found: list[dict[str, Any]] = [e["resource"] for e in answer.json().get("entry", ())]
            ours = [r for r in found if any(i.get("system") == DRAFT_SYSTEM for i in r.get("identifier", ()))]
            if ours and ours[0].get(where) == text:
                assert len(ours) == 1
                return ours[0]
            await asyncio.sleep(0.05)


async def draft_on_the_hub(app: Cast, text: str) -> dict[str, Any]:
    """The draft among the content of the session, once it says `text`."""
    async with asyncio.timeout(60):
        while True:
            found = [r for r in app.content(await app.context()).values() if r["id"] != "f1"]
            if found and found[0]["valueString"] == text:
                resource: dict[str, Any] = found[0]
                return resource
            await asyncio.sleep(0.05)


async def drafted(dictation: Dictation, count: int) -> str:
    """The text of the newest of `count` drafts that came over MLLP."""
    async with asyncio.timeout(60):
        while len(dictation.impressions(ACCESSION)) < count:
            await asyncio.sleep(0.02)
    return dictation.impressions(ACCESSION)[-1]


async def test_one_case_on_three_wires(tmp_path: Path) -> None:
    """Dictated by HL7, changed by FHIRcast: MLLP, two FHIR servers and the hub have the same text, flags and digest."""
    anew = httpx.Limits(max_keepalive_connections=0)  # as in tests.support.fhircast_client
    async with (
        listening() as dictation,
        fhir_server() as ehr,
        httpx.AsyncClient(trust_env=False, timeout=60, limits=anew) as http,
        GatewayProcess(
            tmp_path,
            [dictation.port],
            more="[fhircast]\nack_timeout_s = 600.0\n"
            f'[[fhir.destinations]]\nname = "ehr"\nurl = "{ehr}"\ntimeout_s = 60.0\n',
        ) as gateway,
    ):
        base = f"http://127.0.0.1:{gateway.http_port}"
        ris = Ris(accession=ACCESSION)
        await asyncio.to_thread(send, gateway.hl7_port, ris.order(), ris.dictated(FIRST))
        first = await drafted(dictation, 1)
        assert "right" in first
        assert text_of(await search(http, ehr, "Observation", first)) == first

        async with application(f"{base}/fhircast") as app:
            await app.post("DiagnosticReport-open", report_context(ACCESSION))
            assert text_of(await draft_on_the_hub(app, first)) == first
            version = (await app.context())["context.versionId"]
            said = await app.post("DiagnosticReport-update", update_context(put(observation(SECOND))), version)
            assert said.status_code == 202, said.text
            second = await drafted(dictation, 2)
            shared = await draft_on_the_hub(app, second)
            assert "left" in second
            assert dictation.impressions(ACCESSION, status="D"), "the first draft was taken back before"

        servers = [f"{base}/fhir", ehr]
        observations = [await search(http, url, "Observation", second) for url in servers]
        reports = [await search(http, url, "DiagnosticReport", second) for url in servers]
        [row] = gateway.query("SELECT document, findings_digest FROM draft WHERE state = 'current'")
        message = dictation.of(ACCESSION)[-1]

    draft = json.loads(row[0])
    assert draft["flags"], "somebody has to be told of a tension pneumothorax"
    wanted = [f"{flag['severity']}: {flag['kind']}: {flag['message']}" for flag in draft["flags"]]
    everywhere = [shared, *observations, *reports]
    assert [resource.get("valueString") or resource["conclusion"] for resource in everywhere] == [second] * 5
    assert [flags_of(resource) for resource in everywhere] == [wanted] * 5
    assert [str(segment[3]) for segment in message if str(segment[0]) == "NTE"] == wanted
    for name, value in {"findings-digest": row[1], "lora": draft["lora"]}.items():
        assert {told(resource, name)[0]["valueString"] for resource in everywhere} == {value}
    assert {told(resource, "expires")[0]["valueInstant"] for resource in everywhere} == {
        told(shared, "expires")[0]["valueInstant"]
    }
    assert {resource["status"] for resource in (shared, *observations)} == {"preliminary"}
    assert {resource["status"] for resource in reports} == {"partial"}
    with Validator() as validator:
        assert [validator.problems(resource) for resource in everywhere] == [[]] * 5
