"""Journaled FHIRcast events to facts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.config import Site
from radbridge.errors import MessageFault
from radbridge.events import Event, OrderPlaced, ReportDictated, ReportOpened, ReportSigned, ReportWithdrawn
from radbridge_adapters.fhircast.dialect import find_dialect
from radbridge_adapters.fhircast.message import read_event
from radbridge_adapters.fhircast.record import Record
from radbridge_adapters.fhircast.session import Session, Step, take
from radbridge_adapters.fhircast.translate import RecordTranslator
from tests.support.fhircast import event, observation, put, report_context, update_context

SITE = Site(fhir={"default_signer": "99"})


def steps(*said: dict[str, Any], dialect: str = "versionless") -> Step:
    """The last of these events, in a session."""
    session, step = Session(), None
    for number, one in enumerate(said):
        step = take(session, read_event(one), version=f"v{number}", dialect=find_dialect(dialect))
        session = step.session
    assert step is not None
    return step


def facts(*said: dict[str, Any], fhir: str = "R4") -> Sequence[Event]:
    """What the last of these events tells."""
    step = steps(*said)
    assert step.about is not None
    return RecordTranslator(SITE)(Record.of(step.event, step.about, fhir).write())


def opened(**more: Any) -> dict[str, Any]:
    """The report opened."""
    return event("DiagnosticReport-open", report_context("A1", **more))


def updated(*resources: dict[str, Any], **report: Any) -> dict[str, Any]:
    """The report updated, with these attributes of its own."""
    context = update_context(*(put(resource) for resource in resources))
    if report:
        context[0] = {"key": "report", "resource": {"resourceType": "DiagnosticReport", "id": "r1", **report}}
    return event("DiagnosticReport-update", context)


def only(found: Sequence[Event]) -> Any:
    """The one fact."""
    [fact] = found
    return fact


def test_an_opened_report_names_patient_study_and_signer() -> None:
    """Opening a report tells its accession, patient, study and signer, and the site's default where it names none."""
    fact = only(facts(opened()))
    assert isinstance(fact, ReportOpened)
    assert (fact.key.accession, fact.patient.id, fact.patient.name) == ("A1", "900001", "DOE^JANE")
    assert (fact.study.modality, fact.signer.id) == ("CT", "99")


def test_the_accession_may_stand_with_the_study_alone() -> None:
    """As in the standard's example, the order's number may be told by the study's basedOn alone."""
    said = opened()
    based_on = said["event"]["context"][0]["resource"].pop("basedOn")
    said["event"]["context"][2]["resource"]["basedOn"] = based_on
    assert only(facts(said)).key.accession == "A1"


def test_findings_are_read_from_the_whole_content() -> None:
    """An update that changes one observation tells the text of all that is shared, ours left out."""
    first = updated(observation("Clear lungs."), observation("Compared to 2020.", "c1", "18834-2"))
    machine = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "AIAST"}]}
    second = updated(observation("Effusion.", "f2"), observation("A draft.", "d1", "19005-8") | {"meta": machine})
    fact = only(facts(opened(), first, second))
    assert isinstance(fact, ReportDictated)
    assert fact.report.findings.split("\n") == ["Clear lungs.", "Effusion."]
    assert (fact.report.comparison, fact.report.impression) == ("Compared to 2020.", "")


@pytest.mark.parametrize(
    "report",
    [
        {"conclusion": "FINDINGS: Clear lungs.\nIMPRESSION: Normal."},
        {
            "presentedForm": [
                {"contentType": "text/plain", "data": base64.b64encode(b"FINDINGS: Clear lungs.").decode()}
            ]
        },
    ],
)
def test_a_text_in_the_report_itself_is_read(report: dict[str, Any]) -> None:
    """The text may stand in the report, put into the content or told as the anchor's attribute."""
    put_there = updated({"resourceType": "DiagnosticReport", "id": "r1", "status": "preliminary", **report})
    assert only(facts(opened(), put_there)).report.findings == "Clear lungs."
    assert only(facts(opened(), updated(**report))).report.findings == "Clear lungs."


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("final", ReportSigned),
        ("amended", ReportSigned),
        ("cancelled", ReportWithdrawn),
        ("entered-in-error", ReportWithdrawn),
        ("partial", OrderPlaced),
        ("unknown", OrderPlaced),
    ],
)
def test_the_status_of_the_report_says_what_became_of_it(status: str, kind: type[Event]) -> None:
    """A status told without any text signs or withdraws a report, or tells only of the order."""
    fact = only(facts(opened(), updated(status=status)))
    assert isinstance(fact, kind)
    if isinstance(fact, ReportSigned):
        assert (fact.report.impression, fact.corrected) == ("", status == "amended")


def test_select_is_a_sign_of_somebody_at_the_report_and_close_of_nothing() -> None:
    """A select says as an open does that somebody has the report before them; a close tells no fact."""
    selected: list[dict[str, Any]] = [
        {"key": "report", "reference": {"reference": "DiagnosticReport/r1"}},
        {"key": "select", "reference": []},
    ]
    assert isinstance(only(facts(opened(), event("DiagnosticReport-select", selected))), ReportOpened)
    assert facts(opened(), event("DiagnosticReport-close", report_context("A1")[:1])) == ()


def test_facts_have_the_events_time() -> None:
    """A fact happened when its event says so."""
    said = opened() | {"timestamp": "2026-01-02T03:04:05.678Z"}
    assert only(facts(said)).at.isoformat() == "2026-01-02T03:04:05.678000+00:00"


def test_arrays_that_came_as_objects_are_read() -> None:
    """The standard's own examples have an object where FHIR has an array: they are read all the same."""
    odd = observation("Clear lungs.") | {
        "category": {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "imaging"},
        "partOf": {"reference": "ImagingStudy/s1"},
    }
    context = report_context("A1")
    report = context[0]["resource"]
    report["basedOn"] = report["basedOn"][0]
    assert only(facts(event("DiagnosticReport-open", context), updated(odd))).report.findings == "Clear lungs."


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
ELEMENTS = """identifier basedOn subject status code conclusion presentedForm resultsInterpreter performer category meta
    study imagingStudy effectiveDateTime name gender birthDate telecom address valueString component
    extension""".split()


@given(
    st.dictionaries(st.sampled_from(ELEMENTS), JUNK, max_size=4),
    st.sampled_from(range(3)),
    st.sampled_from(["R4", "R5"]),
)
def test_what_a_hub_let_through_is_read_or_a_fault(junk: dict[str, Any], which: int, fhir: str) -> None:
    """Resources that are no FHIR at all give facts or a MessageFault: never another error."""
    context = report_context("A1")
    context[which]["resource"] |= junk
    said = [event("DiagnosticReport-open", context), updated(observation("x") | junk)]
    step = steps(*said)
    assert step.about is not None
    try:
        found = RecordTranslator(SITE)(Record.of(step.event, step.about, fhir).write())
    except MessageFault:
        return
    assert len(found) <= 1


@given(st.binary(max_size=100))
def test_bytes_that_are_no_record_are_a_fault(raw: bytes) -> None:
    """Journaled bytes that are no record are a fault."""
    with pytest.raises(MessageFault):
        RecordTranslator(SITE)(raw)


def test_a_record_holds_no_topic() -> None:
    """A record holds no topic: that is a secret of those who take part."""
    step = steps(event("DiagnosticReport-open", report_context("A1"), topic="zq-secret"))
    assert step.about is not None
    assert b"zq-secret" not in Record.of(step.event, step.about, "R4").write()
