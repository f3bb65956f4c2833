"""Our FHIRcast hub over real sockets: contexts, content, drafts, and what it refuses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from radbridge.case import CaseKey, CaseState
from radbridge.journal import deliveries, edits
from radbridge.journal.schema import DeliveryState, MessageState, Purpose
from radbridge.testing import FakeModel
from radbridge_adapters import fhircast
from tests.support.fhircast import event, observation, put, report_context, update_context
from tests.support.fhircast_client import Cast, application
from tests.support.held_model import HeldModel
from tests.support.live import LiveGateway, live, make_site

KEY = CaseKey(accession="A1")
IMPRESSION = "19005-8"


async def dictate(pacs: Cast, text: str, accession: str = "A1") -> None:
    """Open the report and share its findings."""
    await pacs.post("DiagnosticReport-open", report_context(accession))
    await pacs.wait(1, "DiagnosticReport-open")
    await share(pacs, text)


async def share(pacs: Cast, text: str, **more: Any) -> None:
    """Share findings."""
    context = update_context(put(observation(text)))
    answer = await pacs.post("DiagnosticReport-update", context, (await pacs.context())["context.versionId"], **more)
    assert answer.status_code == 202, answer.text


async def drafts_in(pacs: Cast, text: str) -> dict[str, Any]:
    """The draft in the content, once it says `text`."""
    async with asyncio.timeout(60):
        while True:
            found = [r for r in pacs.content(await pacs.context()).values() if r["id"] != "f1"]
            if found and found[0]["valueString"] == text:
                return found[0]
            await asyncio.sleep(0.01)


def sent(gateway: LiveGateway) -> list[tuple[Purpose, DeliveryState]]:
    """The deliveries of the case to the hub, oldest first."""
    rows = gateway.journal.read_now(lambda conn: deliveries.of_case(conn, KEY))
    return [(row.purpose, row.state) for row in rows if row.destination == "fhircast"]


async def test_dictated_text_comes_back_as_a_draft(tmp_path: Path) -> None:
    """A report is opened and its findings are shared; the draft comes back as content, unverified, on the socket."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as pacs:
        assert (await pacs.post("DiagnosticReport-open", report_context("A1"))).status_code == 202
        [opened] = await pacs.wait(1)
        version = opened["event"]["context.versionId"]
        found = observation("Clear lungs. No effusion.")
        assert (await pacs.post("DiagnosticReport-update", update_context(put(found)), version)).status_code == 202
        _, own, draft = await pacs.wait(3)
        assert own["event"]["context.priorVersionId"] == version
        assert draft["event"]["context.priorVersionId"] == own["event"]["context.versionId"]
        [entry] = draft["event"]["context"][-1]["resource"]["entry"]
        assert entry["resource"]["valueString"] == "Clear lungs."
        assert entry["resource"]["status"] == "preliminary"
        context = await pacs.context()
        assert context["context.versionId"] == draft["event"]["context.versionId"]
        assert list(pacs.content(context).values()) == [found, entry["resource"]]


async def test_an_open_report_prefetches_and_makes_a_case(tmp_path: Path) -> None:
    """Opening a report tells the model server who will sign, and the case knows its patient, study and signer."""
    model = FakeModel()
    signer = [{"identifier": {"value": "1234"}, "display": "ROE"}]
    async with (
        live(make_site(tmp_path), fhircast.wire, model=model) as gateway,
        application(f"{gateway.base}/fhircast") as pacs,
    ):
        await pacs.post("DiagnosticReport-open", report_context("A1", resultsInterpreter=signer))
        await gateway.until(lambda: model.prefetched == ["1234"])
        case = gateway.case("A1")
        assert case is not None
        assert (case.patient.id, case.study.description, case.signer.id) == ("900001", "CT CHEST", "1234")


async def test_changed_findings_replace_the_draft(tmp_path: Path) -> None:
    """When the findings change, the draft is taken out of the content and the new one has the same id."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as pacs:
        await dictate(pacs, "Clear lungs.")
        first = await drafts_in(pacs, "Clear lungs.")
        await share(pacs, "Right effusion. Clear left lung.")
        second = await drafts_in(pacs, "Right effusion.")
        assert second["id"] == first["id"]
        updates = await pacs.wait(5, "DiagnosticReport-update")
        methods = [e["event"]["context"][-1]["resource"]["entry"][0]["request"]["method"] for e in updates]
        assert methods == ["PUT", "PUT", "PUT", "DELETE", "PUT"]


async def test_a_draft_for_a_report_that_nobody_has_open_goes_nowhere(tmp_path: Path) -> None:
    """A draft whose report was closed meanwhile is cancelled; opened again, the standing draft is put there."""
    model = HeldModel()
    async with (
        live(make_site(tmp_path), fhircast.wire, model=model) as gateway,
        application(f"{gateway.base}/fhircast") as pacs,
    ):
        await dictate(pacs, "Clear lungs.")
        await gateway.until(lambda: model.asked)
        await pacs.post("DiagnosticReport-close", report_context("A1")[:1])
        model.free.set()
        await gateway.until(lambda: sent(gateway) == [(Purpose.DRAFT, DeliveryState.CANCELLED)])
        assert await pacs.context() == {"context.type": "", "context": []}
        await pacs.post("DiagnosticReport-open", report_context("A1"))
        await drafts_in(pacs, "Clear lungs.")
        await gateway.until(lambda: sent(gateway)[-1] == (Purpose.DRAFT, DeliveryState.CONFIRMED))
        await share(pacs, "Right effusion.")
        await gateway.until(lambda: len(sent(gateway)) == 4)
        assert [purpose for purpose, _ in sent(gateway)].count(Purpose.WITHDRAWAL) == 1


async def test_an_interrupted_report_keeps_up_too(tmp_path: Path) -> None:
    """While another report is before it, a report's stale draft is taken away and its new one put there."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as pacs:
        await dictate(pacs, "Clear lungs.")
        await drafts_in(pacs, "Clear lungs.")
        version = (await pacs.context())["context.versionId"]
        await pacs.post("DiagnosticReport-open", report_context("A2", "r2"))
        await pacs.wait(2, "DiagnosticReport-open")
        context = update_context(put(observation("Right effusion.")))
        assert (await pacs.post("DiagnosticReport-update", context, version)).status_code == 202
        await gateway.until(lambda: len(sent(gateway)) == 3 and sent(gateway)[-1][1] is DeliveryState.CONFIRMED)
        assert pacs.content(await pacs.context()) == {}
        await pacs.post("DiagnosticReport-close", report_context("A2", "r2")[:1])
        await drafts_in(pacs, "Right effusion.")
        assert len(sent(gateway)) == 3


async def test_what_we_put_there_is_never_taken_for_a_dictation(tmp_path: Path) -> None:
    """Our own draft in the content, put there by us or echoed by an application, makes no report text."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as pacs:
        await dictate(pacs, "Clear lungs.")
        draft = await drafts_in(pacs, "Clear lungs.")
        context = update_context(put(draft | {"id": "echo", "valueString": "Echoed."}))
        answer = await pacs.post("DiagnosticReport-update", context, (await pacs.context())["context.versionId"])
        assert answer.status_code == 202
        await gateway.until(lambda: count(gateway, MessageState.ACCEPTED) == 0)
        case = gateway.case("A1")
        assert case is not None
        assert case.report.impression == ""
        assert count(gateway, MessageState.DONE) == 3  # opened, dictated, echoed: what we put there is no message


def count(gateway: LiveGateway, state: MessageState) -> int:
    """Messages in that state."""
    query = "SELECT count(*) FROM message WHERE state = ?"
    return int(gateway.journal.read_now(lambda conn: conn.exec_driver_sql(query, (state.value,)).scalar_one()))


async def test_a_sign_off_is_paired_with_its_draft(tmp_path: Path) -> None:
    """A report put with status final and its text signs the case: draft withdrawn, edit stored, feedback noted."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as pacs:
        await dictate(pacs, "Clear lungs.")
        await drafts_in(pacs, "Clear lungs.")
        signed = {"resourceType": "DiagnosticReport", "id": "r1", "status": "final", "conclusion": "Normal chest."}
        context = update_context(put(signed))
        await pacs.post("DiagnosticReport-update", context, (await pacs.context())["context.versionId"])
        await gateway.until(lambda: (case := gateway.case("A1")) is not None and case.state is CaseState.SIGNED)
        [(edit, _)] = gateway.journal.read_now(lambda conn: edits.of_case(conn, KEY))
        assert edit.signed == "Normal chest."
        await gateway.until(lambda: sent(gateway)[-1] == (Purpose.WITHDRAWAL, DeliveryState.CONFIRMED))
        assert list(pacs.content(await pacs.context())) == ["Observation/f1", "DiagnosticReport/r1"]
        query = "SELECT source, outcome FROM draft_feedback"
        assert gateway.journal.read_now(lambda conn: conn.exec_driver_sql(query).all()) == [("fhircast", "signed")]


async def test_a_cancelled_report_withdraws_its_draft(tmp_path: Path) -> None:
    """A report told to be cancelled withdraws the case and its draft, and is noted as feedback."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as pacs:
        await dictate(pacs, "Clear lungs.")
        await drafts_in(pacs, "Clear lungs.")
        context = update_context()
        context[0] = {
            "key": "report",
            "resource": {"resourceType": "DiagnosticReport", "id": "r1", "status": "cancelled"},
        }
        await pacs.post("DiagnosticReport-update", context, (await pacs.context())["context.versionId"])
        await gateway.until(lambda: (case := gateway.case("A1")) is not None and case.state is CaseState.WITHDRAWN)
        query = "SELECT source, outcome FROM draft_feedback"
        assert gateway.journal.read_now(lambda conn: conn.exec_driver_sql(query).all()) == [("fhircast", "cancelled")]


async def test_an_event_is_sent_again_without_harm(tmp_path: Path) -> None:
    """The same event id again is answered as before, distributed once and journaled once."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as pacs:
        said = event("DiagnosticReport-open", report_context("A1"), topic="topic")
        answers = [await pacs.http.post(pacs.url, json=said) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [202, 202, 202]
        await pacs.post("DiagnosticReport-close", report_context("A1")[:1])
        await pacs.wait(1, "DiagnosticReport-close")
        assert len(pacs.events) == 2


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"id":' * 1000, "application/json", 400),
        (b"<x/>", "application/xml", 415),
        (b'{"id": "' + b"x" * 2_000_000 + b'"}', "application/json", 413),
        (b"hub.mode=subscribe", "application/x-www-form-urlencoded", 400),
        (b"hub.mode=subscribe&hub.topic=t&hub.channel.type=webhook", "application/x-www-form-urlencoded", 400),
        (b"hub.mode=subscribe&hub.topic=t&hub.channel.type=websocket", "application/x-www-form-urlencoded", 400),
        (b"hub.mode=denied&hub.topic=t&hub.channel.type=websocket", "application/x-www-form-urlencoded", 400),
        (b"hub.mode=a&hub.mode=b&hub.topic=t&hub.channel.type=websocket", "application/x-www-form-urlencoded", 400),
        (
            b"hub.mode=unsubscribe&hub.topic=t&hub.channel.type=websocket&hub.channel.endpoint=ws://x/ws/y",
            "application/x-www-form-urlencoded",
            404,
        ),
    ],
)
async def test_what_is_no_event_is_told_so(tmp_path: Path, body: bytes, kind: str, status: int) -> None:
    """What is no event and no subscription is refused in plain text, and the hub goes on."""
    async with (
        live(make_site(tmp_path), fhircast.wire) as gateway,
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
    ):
        answer = await http.post(f"{gateway.base}/fhircast", content=body, headers={"content-type": kind})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8")
        assert (await http.get(f"{gateway.base}/fhircast/t")).json() == {"context.type": "", "context": []}
        kept = count(gateway, MessageState.REJECTED)
        assert kept == (1 if kind == "application/json" and status == 400 else 0)


async def test_conflicts_change_nothing(tmp_path: Path) -> None:
    """An old version, a report that isn't open and a missing version are refused, and the context stays as it is."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as pacs:
        await pacs.post("DiagnosticReport-open", report_context("A1"))
        before = await pacs.context()
        told = update_context(put(observation("x")))
        assert (await pacs.post("DiagnosticReport-update", told, "old")).status_code == 409
        assert (await pacs.post("DiagnosticReport-update", told)).status_code == 400
        other = update_context(put(observation("x")), report="r9")
        assert (await pacs.post("DiagnosticReport-update", other, before["context.versionId"])).status_code == 409
        assert await pacs.context() == before


async def test_the_hub_says_what_it_can(tmp_path: Path) -> None:
    """The configuration is where the standard has it."""
    async with (
        live(make_site(tmp_path), fhircast.wire) as gateway,
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
    ):
        said = (await http.get(f"{gateway.base}/fhircast/.well-known/fhircast-configuration")).json()
        assert said["websocketSupport"] is True
        assert "DiagnosticReport-update" in said["eventsSupported"]
        assert (await http.delete(f"{gateway.base}/fhircast")).status_code == 405
        assert (await http.post(f"{gateway.base}/fhircast/a/b/c")).status_code == 404


async def test_an_id_that_another_event_had(tmp_path: Path) -> None:
    """A repeat under an event's id has no effect; another event under it has none either, and is counted and told."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as pacs:
        await pacs.post("DiagnosticReport-open", report_context("A1"))
        for text, count in (("Clear lungs.", 0), ("Clear lungs.", 0), ("No nodule.", 1)):
            await share(pacs, text, id="e1")
            assert f"radbridge_control_ids_reused_total {count}.0" in gateway.metrics.page().decode()
        assert pacs.content(await pacs.context())["Observation/f1"]["valueString"] == "Clear lungs."
