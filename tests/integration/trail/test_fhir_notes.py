"""What the FHIR server shows is in the trail before it leaves; what it stores, with whoever it was about before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, event, select

from radbridge.audit import Note, Subject, What, read
from radbridge.config import Site
from radbridge.errors import JournalError, SealBroken
from radbridge.journal import audit
from radbridge.journal.schema import audit_pending
from radbridge.journal.stores import Stores
from radbridge_adapters import fhir
from radbridge_adapters.fhir import audit as fhir_audit
from radbridge_adapters.fhir.store import subjects
from radbridge_adapters.fhir.store.snapshots import Snapshots
from radbridge_adapters.resources.accession import Accessions
from tests.support.fhir import JSON, patient, report
from tests.support.live import LiveGateway, live, make_site


@pytest.fixture
async def gateway(url: str, tmp_path: Path) -> AsyncIterator[LiveGateway]:
    async with live(make_site(tmp_path, store={"url": url}), fhir.wire) as made:
        yield made


@pytest.fixture
async def http(gateway: LiveGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{gateway.base}/fhir/", trust_env=False, timeout=60, headers=JSON) as made:
        yield made


def noted(gateway: LiveGateway, interaction: str) -> set[tuple[What, str, str]]:
    """What stands of an interaction in the journal at this moment, chained or not."""

    def find(conn: Connection) -> list[Note]:
        waiting = [read(row.document, row.at) for row in conn.execute(select(audit_pending))]
        return [*(event.note for event in audit.chained(conn)), *waiting]

    mine = [note for note in gateway.journal.read_now(find) if note.detail.get("interaction") == interaction]
    return {(note.what, note.entity.accession if note.entity else "", note.patient) for note in mine}


async def make_report(http: httpx.AsyncClient, number: str, **more: Any) -> dict[str, Any]:
    """A report about the patient of this number."""
    owner = (await http.post("Patient", json=patient(number))).json()["id"]
    made = await http.post("DiagnosticReport", json=report("A1", subject={"reference": f"Patient/{owner}"}, **more))
    document: dict[str, Any] = made.json()
    return document


async def test_a_view_is_noted_before_its_answer(
    gateway: LiveGateway, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever becomes of the gateway after an answer, the note of what it showed is committed by then."""
    made = await make_report(http, "900123")
    place = f"DiagnosticReport/{made['id']}"
    monkeypatch.setattr(fhir_audit, "AT_ONCE", 0)  # nothing is stored behind the answers
    mine = (What.VIEWED, "A1", "900123")
    await http.get(place)
    assert noted(gateway, "read") == {mine}
    await http.get(f"{place}/_history/1")
    assert noted(gateway, "vread") == {mine}
    await http.get("DiagnosticReport?status=partial")
    assert noted(gateway, "search") == {(What.SEARCHED, "", ""), mine}
    await http.get("DiagnosticReport?identifier=nobody")
    entry = {"request": {"method": "GET", "url": place}}
    await http.post("", json={"resourceType": "Bundle", "type": "batch", "entry": [entry]})
    assert noted(gateway, "bundle") == {(What.MESSAGE_TAKEN, "A1", "900123")}
    standing = await http.post("DiagnosticReport", json=made, headers={"if-none-exist": "identifier=A1"})
    assert (standing.status_code, standing.json()["id"]) == (200, made["id"])
    assert (What.MESSAGE_TAKEN, "A1", "900123") in noted(gateway, "create")


async def test_what_cannot_be_noted_is_not_shown(
    gateway: LiveGateway, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the journal takes no note a view is refused, 503; what is sent is stored, and noted later."""
    made = await make_report(http, "900123")

    def fail(_conn: Connection, _items: Sequence[object]) -> list[None]:
        raise JournalError("no room")

    with monkeypatch.context() as full:
        full.setattr(audit, "record_all", fail)
        refused = await http.get(f"DiagnosticReport/{made['id']}")
        assert (refused.status_code, refused.json()["resourceType"]) == (503, "OperationOutcome")
        assert (await http.post("Patient", json=patient("900124"))).status_code == 201
    assert (await http.get(f"DiagnosticReport/{made['id']}")).status_code == 200
    await gateway.until(lambda: (What.MESSAGE_TAKEN, "", "900124") in noted(gateway, "create"))


async def test_a_fault_in_finding_whose_data_it_is(
    gateway: LiveGateway, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view whose subject can't be told for a fault of ours is refused, what is sent is noted all the same."""
    made = await make_report(http, "900123")
    find = subjects.find_subjects

    def fail(conn: Connection, accessions: Accessions, names: Sequence[str]) -> dict[str, Subject]:
        found = find(conn, accessions, names)
        if any(subject.patient == "900666" or "DiagnosticReport" in name for name, subject in found.items()):
            raise LookupError
        return found

    monkeypatch.setattr(fhir_audit, "find_subjects", fail)
    refused = await http.get(f"DiagnosticReport/{made['id']}")
    assert (refused.status_code, refused.json()["resourceType"]) == (500, "OperationOutcome")
    assert "internal error" in refused.json()["issue"][0]["diagnostics"]
    for number in ("900666", "900124"):
        assert (await http.post("Patient", json=patient(number))).status_code == 201
    both = {(What.MESSAGE_TAKEN, "", ""), (What.MESSAGE_TAKEN, "", "900124")}
    await gateway.until(lambda: both <= noted(gateway, "create"))
    assert (await http.post("Patient", json=patient("900125"))).status_code == 201
    await gateway.until(lambda: (What.MESSAGE_TAKEN, "", "900125") in noted(gateway, "create"))


async def test_what_refers_to_something_lost_is_shown(
    gateway: LiveGateway, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page is shown though something beside one of its resources can't be opened; the others' cases are noted."""
    await make_report(http, "900123")
    find = subjects.find_subjects

    def fail(conn: Connection, accessions: Accessions, names: Sequence[str]) -> dict[str, Subject]:
        found = find(conn, accessions, names)
        if any(subject.patient == "900666" for subject in found.values()):
            raise SealBroken("case.document")
        return found

    monkeypatch.setattr(fhir_audit, "find_subjects", fail)
    assert (await http.post("Patient", json=patient("900666"))).status_code == 201
    shown = await http.get("Patient?_count=100")
    assert (shown.status_code, len(shown.json()["entry"])) == (200, 2)
    assert (What.VIEWED, "", "900123") in noted(gateway, "search")


async def test_a_large_answer_is_noted_in_parts(
    gateway: LiveGateway, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notes of a page of many patients don't hold the lane of the acknowledgements by one long write."""
    for number in range(5):
        await http.post("Patient", json=patient(f"90012{number}"))
    record, sizes = audit.record_all, list[int]()

    def listen(conn: Connection, groups: Sequence[Sequence[Note]]) -> list[None]:
        sizes.extend(map(len, groups))
        return record(conn, groups)

    monkeypatch.setattr(audit, "record_all", listen)
    monkeypatch.setattr(fhir_audit, "NOTES_AT_ONCE", 2)
    await http.get("Patient?_count=100")
    assert (sum(sizes), max(sizes)) == (6, 2)
    assert len(noted(gateway, "search")) == 6


def test_the_compositions_of_many_reports_are_found_together(stores: Stores) -> None:
    """However many reports an answer has, they take a query for each 200 and not one each."""
    foci = [{"resourceType": "DiagnosticReport", "id": f"r{n}", "meta": {"versionId": "1"}} for n in range(450)]
    queries: list[str] = []
    with stores.connect() as conn:
        event.listen(conn, "before_cursor_execute", lambda _conn, _cursor, query, *_: queries.append(query))
        found = Snapshots(conn, Accessions.of(Site()), ()).beside(foci)
    assert len(found) == 450
    assert len(queries) == 3


async def test_a_report_that_is_moved_is_noted_for_both(gateway: LiveGateway, http: httpx.AsyncClient) -> None:
    """An update that takes a report from one patient to another is in the trail of both."""
    made = await make_report(http, "900123")
    right = (await http.post("Patient", json=patient("900124"))).json()["id"]
    moved = made | {"subject": {"reference": f"Patient/{right}"}}
    both = {(What.MESSAGE_TAKEN, "A1", "900123"), (What.MESSAGE_TAKEN, "A1", "900124")}
    for _ in range(2):
        assert (await http.put(f"DiagnosticReport/{made['id']}", json=moved)).status_code == 200
    await gateway.until(lambda: noted(gateway, "update") == both)
    entry = {"request": {"method": "PUT", "url": f"DiagnosticReport/{made['id']}"}, "resource": made}
    await http.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    await gateway.until(lambda: noted(gateway, "bundle") == both)


async def test_a_draft_is_noted_with_the_report_that_was_sent(gateway: LiveGateway, http: httpx.AsyncClient) -> None:
    """A report in the body of `$draft-impression` is in the trail by its own version, also before there is a draft."""
    owner = (await http.post("Patient", json=patient("900123"))).json()["id"]
    sent = report("A1", id="mine", subject={"reference": f"Patient/{owner}"})
    asked = {"resourceType": "Parameters", "parameter": [{"name": "report", "resource": sent}]}
    later = {"prefer": "respond-async"}
    answer = await http.post("DiagnosticReport/$draft-impression", json=asked, headers=later)
    assert answer.status_code == 202
    assert noted(gateway, "draft") == {(What.VIEWED, "A1", "900123")}
    right = (await http.post("Patient", json=patient("900124"))).json()["id"]
    sent["subject"] = {"reference": f"Patient/{right}"}
    await http.post("DiagnosticReport/$draft-impression", json=asked, headers=later)
    assert noted(gateway, "draft") == {(What.VIEWED, "A1", "900123"), (What.VIEWED, "A1", "900124")}
