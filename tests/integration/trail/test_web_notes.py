"""Whoever is shown something by a web wire is in the trail, with the very commit that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from radbridge.audit import Note, Outcome, What, to_fhir
from radbridge.case import Patient
from radbridge.journal import audit
from radbridge_adapters import cdshooks, fhir, fhircast
from radbridge_adapters.fhir import audit as fhir_audit
from radbridge_adapters.fhir.store import subjects
from radbridge_adapters.resources.accession import Accessions
from tests.support.cds import REPORT_DRAFT, draft_call
from tests.support.fhir import ACSN, JSON, observation, patient, report
from tests.support.fhircast import report_context
from tests.support.fhircast_client import application
from tests.support.live import LiveGateway, live, make_site
from tests.support.peers import Validator
from tests.support.subscriber import subscriber
from tests.support.trail import make_note


def notes(gateway: LiveGateway, via: str) -> list[Note]:
    """What clients of a wire did, as far as it is chained; not what was then made of it."""
    told = [event.note for event in gateway.journal.read_now(audit.chained)]
    return [note for note in told if note.via == via and not {"message_id", "destination"} & note.detail.keys()]


async def test_a_card_a_resource_and_a_session_are_noted(tmp_path: Path) -> None:
    """A CDS card with its case, a FHIR read and refusal with its ids, a FHIRcast GET without its topic."""
    site = make_site(tmp_path, cdshooks={"deadline_s": 60.0})
    async with (
        live(site, cdshooks.wire, fhir.wire, fhircast.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base, trust_env=False, timeout=60) as http,
    ):
        assert (await http.post(REPORT_DRAFT, json=draft_call())).json()["cards"]
        made = (await http.post("/fhir/Patient", json=patient("900123"))).json()["id"]
        await http.get(f"/fhir/Patient/{made}")
        await http.get("/fhir/Patient/nobody")
        await http.get("/fhircast/secret-topic")
        await gateway.until(lambda: notes(gateway, "fhircast") and len(notes(gateway, "fhir")) >= 3)
        (card,) = notes(gateway, "cdshooks")
        (session,) = notes(gateway, "fhircast")
        done = sorted(notes(gateway, "fhir"), key=lambda note: note.at)
        verified = gateway.journal.read_now(audit.verify)
    assert (card.entity and card.entity.accession, card.patient) == ("A500001", "900001")
    assert (card.what, session.what) == (What.VIEWED, What.VIEWED)
    assert "secret-topic" not in str(session)
    assert [(n.detail["interaction"], n.detail["status"]) for n in done] == [
        ("create", "201"),
        ("read", "200"),
        ("read", "404"),
    ]
    assert done[1].detail["targets"] == f"Patient/{made}"
    assert "900123" not in str(done)
    assert verified.events > 5


def told(found: list[Note], interaction: str) -> set[tuple[What, str, str]]:
    """What was noted of an interaction: its kind, accession and patient."""
    mine = (note for note in found if note.detail.get("interaction", note.detail.get("route", "")) == interaction)
    return {(note.what, note.entity.accession if note.entity else "", note.patient) for note in mine}


async def test_a_resource_is_noted_with_its_case(tmp_path: Path) -> None:
    """Reads, pages of a search, a batch and a draft on demand: each case and patient that was shown is in the trail."""
    async with (
        live(make_site(tmp_path), fhir.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base + "/fhir/", trust_env=False, timeout=60, headers=JSON) as http,
    ):
        made = (await http.post("Patient", json=patient("900123"))).json()["id"]
        of_patient: dict[str, Any] = {"subject": {"reference": f"Patient/{made}"}}
        text = (await http.post("Observation", json=observation(**of_patient))).json()["id"]
        results = [{"reference": f"Observation/{text}"}]
        first = (await http.post("DiagnosticReport", json=report("A1", result=results, **of_patient))).json()["id"]
        await http.post("DiagnosticReport", json=report("A2", **of_patient))
        await http.get(f"Patient/{made}")
        await http.get(f"Observation/{text}/_history")
        await http.get("DiagnosticReport?status=partial")
        entry = {"request": {"method": "GET", "url": f"DiagnosticReport/{first}"}}
        await http.post("", json={"resourceType": "Bundle", "type": "batch", "entry": [entry]})
        assert (await http.post(f"DiagnosticReport/{first}/$draft-impression")).json()["resourceType"] == "Bundle"
        one, other = ("A1", "900123"), ("A2", "900123")
        # A write's note comes behind its answer, a view's before it: whichever is chained last.
        await gateway.until(lambda: told(notes(gateway, "fhir"), "draft"))
        await gateway.until(lambda: (What.MESSAGE_TAKEN, *other) in told(notes(gateway, "fhir"), "create"))
        found = notes(gateway, "fhir")
    assert told(found, "read") == {(What.VIEWED, "", "900123")}
    assert told(found, "history") == {(What.VIEWED, *one)}
    assert told(found, "search") == {(What.SEARCHED, "", ""), (What.VIEWED, *one), (What.VIEWED, *other)}
    assert told(found, "bundle") == {(What.MESSAGE_TAKEN, *one)}
    assert told(found, "draft") == {(What.VIEWED, *one)}
    assert (What.MESSAGE_TAKEN, *other) in told(found, "create")


async def test_a_subscriber_is_noted(tmp_path: Path) -> None:
    """What a rest-hook took is exported: its case, and the host that it went to."""
    site = make_site(tmp_path)
    async with (
        subscriber() as hook,
        live(site, fhir.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base + "/fhir/", trust_env=False, timeout=60, headers=JSON) as http,
    ):
        channel = {"type": "rest-hook", "endpoint": hook.url, "payload": "application/fhir+json"}
        wanted = {"status": "requested", "reason": "r", "criteria": "DiagnosticReport?", "channel": channel}
        assert (await http.post("Subscription", json={"resourceType": "Subscription", **wanted})).status_code == 201
        await http.post("DiagnosticReport", json=report("A1"))
        await gateway.until(lambda: [n for n in notes(gateway, "fhir") if n.what is What.EXPORTED])
        sent = next(n for n in notes(gateway, "fhir") if n.what is What.EXPORTED)
    assert (sent.entity and sent.entity.accession, sent.patient, sent.peer) == ("A1", "900001", "127.0.0.1")


async def test_what_was_shown_is_noted_as_it_was(tmp_path: Path) -> None:
    """A version that was about another patient before it was corrected is noted for that one, and for nobody else."""
    async with (
        live(make_site(tmp_path), fhir.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base + "/fhir/", trust_env=False, timeout=60, headers=JSON) as http,
    ):
        right, wrong = [(await http.post("Patient", json=patient(mrn))).json()["id"] for mrn in ("900123", "900124")]
        of_wrong = {"reference": f"Patient/{wrong}"}
        first = (await http.post("DiagnosticReport", json=report("A1", subject=of_wrong))).json()
        place = f"DiagnosticReport/{first['id']}"
        assert (await http.put(place, json=first | {"subject": {"reference": f"Patient/{right}"}})).status_code == 200
        assert (await http.get(f"{place}/_history/1")).status_code == 200
        await http.get(place)
        await http.get(f"{place}/_history")
        both = {(What.VIEWED, "A1", "900123"), (What.VIEWED, "A1", "900124")}
        await gateway.until(lambda: told(notes(gateway, "fhir"), "history") >= both)
        found = notes(gateway, "fhir")
    assert told(found, "vread") == {(What.VIEWED, "A1", "900124")}
    assert told(found, "read") == {(What.VIEWED, "A1", "900123")}
    assert told(found, "history") == both


async def test_what_changes_meanwhile_is_noted_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was stored or found is noted by its version, whatever it was made of before the note was written."""
    async with (
        live(make_site(tmp_path), fhir.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base + "/fhir/", trust_env=False, timeout=60, headers=JSON) as http,
    ):
        owners = [(await http.post("Patient", json=patient(f"90012{n}"))).json()["id"] for n in range(3)]
        with monkeypatch.context() as slow:
            slow.setattr(fhir_audit, "AT_ONCE", 0)
            first, second, third = [{"subject": {"reference": f"Patient/{owner}"}} for owner in owners]
            made = (await http.post("DiagnosticReport", json=report("A1") | first)).json()
            place = f"DiagnosticReport/{made['id']}"
            await http.get("DiagnosticReport?status=partial")
            await http.put(place, json=made | second)
            entries = [
                {"request": {"method": "PUT", "url": place}, "resource": made | third},
                {"request": {"method": "GET", "url": f"{place}/_history/1"}},
            ]
            await http.post("", json={"resourceType": "Bundle", "type": "batch", "entry": entries})
        three = {(What.MESSAGE_TAKEN, "A1", f"90012{n}") for n in range(3)}
        await gateway.until(lambda: told(notes(gateway, "fhir"), "bundle") >= three)
        await gateway.until(lambda: len(told(notes(gateway, "fhir"), "update")) > 1)
        found = notes(gateway, "fhir")
    assert told(found, "bundle") == three
    assert told(found, "search") == {(What.SEARCHED, "", ""), (What.VIEWED, "A1", "900120")}
    assert (What.MESSAGE_TAKEN, "A1", "900120") in told(found, "create")
    assert told(found, "update") == {(What.MESSAGE_TAKEN, "A1", f"90012{n}") for n in range(2)}


async def test_a_long_history_is_noted_with_few_queries(tmp_path: Path) -> None:
    """Whose the versions of a report were takes as many queries for twelve of them as for three."""
    async with (
        live(make_site(tmp_path), fhir.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base + "/fhir/", trust_env=False, timeout=60, headers=JSON) as http,
    ):
        owners = [(await http.post("Patient", json=patient(number))).json()["id"] for number in ("900123", "900124")]
        for n in range(12):
            of_patient: dict[str, Any] = {"subject": {"reference": f"Patient/{owners[n % 2]}"}}
            await http.put("DiagnosticReport/long", json=report("A1", id="long", **of_patient))
        few, _ = asked_for(gateway, 3)
        many, patients = asked_for(gateway, 12)
    assert patients == ["900123", "900124"] * 6
    assert many == few


def asked_for(gateway: LiveGateway, versions: int) -> tuple[int, list[str]]:
    """How many queries the first versions of the long report take, and whose they were."""
    names = [f"DiagnosticReport/long{subjects.PAST}{n + 1}" for n in range(versions)]
    queries: list[str] = []

    def find(conn: sa.Connection) -> list[str]:
        sa.event.listen(conn, "before_cursor_execute", lambda _conn, _cursor, query, *_: queries.append(query))
        found = subjects.find_subjects(conn, Accessions.of(gateway.site), names)
        return [found[name].patient for name in names]

    patients = gateway.journal.read_now(find)
    return len(queries), patients


async def test_a_subscriber_that_says_no_is_noted(tmp_path: Path) -> None:
    """One that answers with an error has read it all the same: noted once, however often, then that it was taken."""
    async with (
        subscriber() as hook,
        live(make_site(tmp_path), fhir.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base + "/fhir/", trust_env=False, timeout=60, headers=JSON) as http,
    ):
        hook.status = 500
        channel = {"type": "rest-hook", "endpoint": hook.url, "payload": "application/fhir+json"}
        wanted = {"status": "requested", "reason": "r", "criteria": "DiagnosticReport?", "channel": channel}
        assert (await http.post("Subscription", json={"resourceType": "Subscription", **wanted})).status_code == 201
        first = (await http.post("DiagnosticReport", json=report("A1"))).json()
        await hook.until(lambda: len(hook.told) >= 2)
        right = (await http.post("Patient", json=patient("900124"))).json()["id"]
        await http.put(f"DiagnosticReport/{first['id']}", json=first | {"subject": {"reference": f"Patient/{right}"}})
        hook.status = 200
        await gateway.until(lambda: (Outcome.SUCCESS, "900124") in exported(gateway))
        found = exported(gateway)
    assert found[:2] == [(Outcome.MINOR, "900001"), (Outcome.SUCCESS, "900001")]
    assert [outcome for outcome, _ in found].count(Outcome.MINOR) == 1


async def test_each_host_that_says_no_is_noted(tmp_path: Path) -> None:
    """A subscription that is moved to another endpoint, which fails too: the new one has read the same report."""
    async with (
        subscriber() as old,
        subscriber() as new,
        live(make_site(tmp_path), fhir.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base + "/fhir/", trust_env=False, timeout=60, headers=JSON) as http,
    ):
        old.status = new.status = 500
        channel = {"type": "rest-hook", "endpoint": old.url, "payload": "application/fhir+json"}
        wanted = {"status": "requested", "reason": "r", "criteria": "DiagnosticReport?", "channel": channel}
        made = (await http.post("Subscription", json={"resourceType": "Subscription", **wanted})).json()
        await http.post("DiagnosticReport", json=report("A1"))
        await gateway.until(lambda: (Outcome.MINOR, "900001") in exported(gateway))
        moved = made | {"status": "requested", "channel": channel | {"endpoint": new.url}}
        assert (await http.put(f"Subscription/{made['id']}", json=moved)).status_code == 200
        await new.until(lambda: len(new.told) >= 2)
        await gateway.until(lambda: len(exported(gateway)) >= 2)
        assert exported(gateway) == [(Outcome.MINOR, "900001")] * 2


def exported(gateway: LiveGateway) -> list[tuple[Outcome, str]]:
    """How each notification ended, and whose report it told."""
    return [(n.outcome, n.patient) for n in notes(gateway, "fhir") if n.what is What.EXPORTED]


WARD: dict[str, Any] = {
    "contained": [{"resourceType": "Location", "id": "w", "name": "Ward 3"}],
    "subject": {"reference": "#w"},
}
COMPOSITION: dict[str, Any] = {
    "resourceType": "Composition",
    "identifier": {"type": ACSN, "value": "A2"},
    "status": "preliminary",
    "type": {"text": "Report"},
    "date": "2026-01-02",
    "author": [{"display": "R"}],
    "title": "Report",
}


@pytest.mark.parametrize("is_broken", [False, True])
async def test_what_is_about_no_patient_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_broken: bool
) -> None:
    """A report of a place, and one that we can't read, are noted without a patient; what comes after is noted too."""

    def fail(*_: object) -> Patient:
        raise AttributeError

    if is_broken:
        monkeypatch.setattr(subjects, "read_patient", fail)
    async with (
        live(make_site(tmp_path), fhir.wire) as gateway,
        httpx.AsyncClient(base_url=gateway.base + "/fhir/", trust_env=False, timeout=60, headers=JSON) as http,
    ):
        made = (await http.post("DiagnosticReport", json=report("A1", **WARD))).json()["id"]
        await http.get(f"DiagnosticReport/{made}")
        made = (await http.post("Composition", json=COMPOSITION)).json()["id"]
        await http.get(f"Composition/{made}")
        await gateway.until(lambda: len(told(notes(gateway, "fhir"), "read")) > 1)
        found = notes(gateway, "fhir")
    assert told(found, "read") == {(What.VIEWED, "A1", ""), (What.VIEWED, "A2", "")}


async def test_a_session_is_noted_with_its_cases(tmp_path: Path) -> None:
    """Who subscribes to a topic, asks what is open, or hears an event is noted with the report's case and patient."""
    async with live(make_site(tmp_path), fhircast.wire) as gateway, application(f"{gateway.base}/fhircast") as pacs:
        await pacs.post("DiagnosticReport-open", report_context("A1"))
        await pacs.context()
        await gateway.until(lambda: told(notes(gateway, "fhircast"), "context"))
        await gateway.until(lambda: told(notes(gateway, "fhircast"), ""))  # noted apart from both answers
        found = notes(gateway, "fhircast")
    assert told(found, "subscribe") == {(What.VIEWED, "", "")}
    assert told(found, "context") == {(What.VIEWED, "A1", "900001")}
    assert (What.EXPORTED, "A1", "900001") in told(found, "")
    assert "topic" not in {note.detail.get("topic") for note in found}


@pytest.fixture(scope="module")
def validator() -> Iterator[Validator]:
    with Validator() as both:
        yield both


@pytest.mark.parametrize("what", What)
def test_an_exported_event_is_valid(validator: Validator, what: What) -> None:
    """Every kind of event, of RadBridge's own and of a person, is an R4 AuditEvent for both validators."""
    own = to_fhir(make_note(what=what, entity=None, patient="", detail={"version": "1"}), id="1")
    asked = to_fhir(make_note(what=what, actor="mueller", role="operator", peer="10.1.2.3"), id="2")
    assert not validator.problems(own)
    assert not validator.problems(asked)
