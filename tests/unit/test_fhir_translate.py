"""Snapshots of FHIR resources to facts about cases."""

from __future__ import annotations

import base64
import copy
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radbridge.case import CaseKey, Code, Patient, Radiologist, ReportText, Sex
from radbridge.errors import MessageFault
from radbridge.events import (
    Event,
    OrderCancelled,
    OrderPlaced,
    PatientsMerged,
    PatientUpdated,
    ReportDictated,
    ReportSigned,
    ReportWithdrawn,
)
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.codes import AIAST, DRAFT_SYSTEM, IDENTIFIER_TYPE, LOINC, SECTIONS, coding
from radbridge_adapters.resources.draft import Composer
from radbridge_adapters.resources.models import shape_of
from radbridge_adapters.resources.outcome import Issues
from radbridge_adapters.resources.snapshot import make_snapshot
from radbridge_adapters.resources.translate import SnapshotTranslator
from radbridge_adapters.resources.validate import validate
from tests.support.drafts import CASE, DRAFT

Document = dict[str, Any]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AIAST_LABEL = {"security": [coding(AIAST)]}
ACCESSION = {"type": {"coding": [{"system": IDENTIFIER_TYPE, "code": "ACSN"}]}, "value": "ACC900001"}
PATIENT: Document = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [
        {"value": "A-1"},
        {
            "type": {"coding": [{"system": IDENTIFIER_TYPE, "code": "MR"}]},
            "value": "900001",
            "assigner": {"display": "HOSP"},
        },
    ],
    "name": [{"family": "DOE", "given": ["JANE", "Q"]}],
    "gender": "female",
    "birthDate": "1960-01-02",
}
REQUEST: Document = {
    "resourceType": "ServiceRequest",
    "id": "s1",
    "status": "active",
    "intent": "order",
    "identifier": [ACCESSION],
    "subject": {"reference": "Patient/p1"},
    "code": {"coding": [{"system": "urn:local", "code": "CTCHW", "display": "CT chest with contrast"}]},
    "reasonCode": [{"text": "Cough"}],
    "priority": "stat",
}
REPORT: Document = {
    "resourceType": "DiagnosticReport",
    "id": "r1",
    "meta": {"versionId": "1", "lastUpdated": "2026-01-02T03:04:05.000Z"},
    "status": "partial",
    "code": {"text": "CT chest"},
    "basedOn": [{"reference": "ServiceRequest/s1"}],
    "subject": {"reference": "Patient/p1"},
}


def observe(id: str, code: str, text: str, **more: Any) -> Document:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "preliminary",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "valueString": text,
        **more,
    }


def translate(focus: Document, *neighbours: Document, systems: tuple[str, ...] = (), signer: str = "") -> list[Event]:
    accessions = Accessions(
        types=frozenset({"ACSN"}), systems=frozenset(systems), issuer="OWN", issuers={"urn:oid:1": "EAST"}
    )
    return list(SnapshotTranslator(accessions, signer, lambda: NOW)(make_snapshot(focus, neighbours)))


def dictated(focus: Document, *neighbours: Document) -> ReportDictated:
    (event,) = translate(focus, *neighbours)
    assert isinstance(event, ReportDictated)
    return event


def with_results(*observations: Document, **more: Any) -> list[Document]:
    references = [{"reference": f"Observation/{one['id']}"} for one in observations]
    return [REPORT | {"result": references} | more, REQUEST, PATIENT, *observations]


def test_a_report_in_progress() -> None:
    """A partial report with findings Observations is a dictation, with the patient and order it points at."""
    event = dictated(*with_results(observe("o1", "59776-5", "Clear lungs."), observe("o2", "18834-2", "None.")))
    assert event.key == CaseKey(accession="ACC900001", issuer="OWN")
    assert event.at == NOW
    assert event.report == ReportText(findings="Clear lungs.", comparison="None.")
    assert event.patient == Patient(
        id="900001", issuer="HOSP", name="DOE^JANE^Q", birth_date=date(1960, 1, 2), sex=Sex.FEMALE, other_ids=("A-1",)
    )
    assert event.order.procedure == Code(value="CTCHW", system="urn:local", display="CT chest with contrast")
    assert (event.order.reason, event.order.priority) == ("Cough", "S")
    assert (event.study.modality, event.study.body_part, event.study.contrast) == ("CT", "CHEST", "with")


@pytest.mark.parametrize("code", sorted(SECTIONS))
def test_every_section_code(code: str) -> None:
    """Every LOINC of the table finds its section."""
    event = dictated(*with_results(observe("o1", code, "Some text."), observe("o2", "59776-5", "More.")))
    assert "Some text." in getattr(event.report, SECTIONS[code])


def test_a_presented_form() -> None:
    """An attached plain text is read in its own charset and cut at its headings."""
    text = "FINDINGS: Herz groß.\nIMPRESSION: Unauffällig."
    form = {"contentType": "text/plain; charset=iso-8859-1", "data": base64.b64encode(text.encode("latin-1")).decode()}
    event = dictated(REPORT | {"presentedForm": [form]}, REQUEST)
    assert event.report == ReportText(findings="Herz groß.", impression="Unauffällig.")


def test_a_form_with_a_lying_charset() -> None:
    """A text that isn't in the charset it names is read all the same."""
    form = {"contentType": "text/plain; charset=klingon", "data": base64.b64encode(b"FINDINGS: Clear.").decode()}
    assert dictated(REPORT | {"presentedForm": [form]}, REQUEST).report.findings == "Clear."


def test_a_conclusion_is_the_impression() -> None:
    """The conclusion is the impression, unless its headings say that it is the whole report."""
    assert dictated(REPORT | {"conclusion": "Normal."}, REQUEST).report == ReportText(impression="Normal.")
    whole = dictated(REPORT | {"conclusion": "FINDINGS: Clear.\nIMPRESSION: Normal."}, REQUEST)
    assert whole.report == ReportText(findings="Clear.", impression="Normal.")


def test_a_composition() -> None:
    """Sections of a Composition are read by code or title, nested ones and their Observations too."""
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><p>Clear lungs.</p><p>No <b>nodule</b>.</p></div>'
    composition = {
        "resourceType": "Composition",
        "id": "c1",
        "status": "preliminary",
        "section": [
            {
                "title": "Report",
                "section": [
                    {"title": "Findings", "text": {"status": "generated", "div": div}},
                    {"title": "Impression", "entry": [{"reference": "Observation/o1"}]},
                ],
            }
        ],
    }
    event = dictated(REPORT, REQUEST, composition, observe("o1", "19005-8", "Normal."))
    assert event.report == ReportText(findings="Clear lungs.\nNo nodule.", impression="Normal.")


def test_text_told_twice_is_one() -> None:
    """A text that stands in an Observation and in the attached form is taken once."""
    form = {"contentType": "text/plain", "data": base64.b64encode(b"FINDINGS: Clear\nlungs.").decode()}
    event = dictated(*with_results(observe("o1", "59776-5", "Clear lungs."), presentedForm=[form]))
    assert " ".join(event.report.findings.split()) == "Clear lungs."


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_withdrawn_observations_say_nothing(status: str) -> None:
    """An Observation that was taken back is no text of the report."""
    first, second = observe("o1", "59776-5", "Wrong.", status=status), observe("o2", "59776-5", "Right.")
    assert dictated(*with_results(first, second)).report.findings == "Right."


def test_our_draft_is_no_dictation() -> None:
    """A draft that comes back, as a report or as one of its Observations, is never taken for what somebody dictated."""
    ours = observe("o2", "19005-8", "Drafted.", meta=AIAST_LABEL)
    assert dictated(*with_results(observe("o1", "59776-5", "Clear."), ours)).report.impression == ""
    assert translate(REPORT | {"conclusion": "Drafted.", "meta": AIAST_LABEL}, REQUEST) == []
    assert (
        translate(REPORT | {"conclusion": "x", "identifier": [{"system": DRAFT_SYSTEM, "value": "d"}]}, REQUEST) == []
    )
    verified = translate(*with_results(ours | {"status": "final"}, status="final"))
    assert isinstance(verified[0], ReportSigned)
    assert verified[0].report.impression == "Drafted."


def test_a_draft_that_was_signed() -> None:
    """Our own report, made final by somebody, signs the very case that it was drafted for."""
    made = Composer(lambda key: "ca5e", ttl=timedelta(hours=1)).compose(CASE, DRAFT)
    observation, report, _ = made.placed({made.urns[0]: "Observation/o1"})
    signed = report | {"id": "r1", "status": "final", "conclusion": "Edited."}
    (event,) = translate(signed, observation | {"id": "o1"})
    assert isinstance(event, ReportSigned)
    assert (event.key, event.report.impression) == (CASE.key, "Edited.")


@pytest.mark.parametrize(
    ("status", "kind", "corrected"),
    [
        ("registered", ReportDictated, None),
        ("partial", ReportDictated, None),
        ("preliminary", ReportDictated, None),
        ("final", ReportSigned, False),
        ("amended", ReportSigned, True),
        ("corrected", ReportSigned, True),
        ("appended", ReportSigned, True),
        ("cancelled", ReportWithdrawn, None),
        ("entered-in-error", ReportWithdrawn, None),
    ],
)
def test_every_status(status: str, kind: type[Event], corrected: bool | None) -> None:
    """Every status of a report is a dictation, a signature or a withdrawal."""
    (event,) = translate(*with_results(observe("o1", "59776-5", "Clear."), status=status))
    assert type(event) is kind
    if isinstance(event, ReportSigned):
        assert event.corrected is corrected


def test_unknown_status_and_no_text() -> None:
    """A report of unknown status tells nothing; one without a text tells of the order only."""
    assert translate(REPORT | {"status": "unknown"}, REQUEST) == []
    (event,) = translate(REPORT, REQUEST)
    assert isinstance(event, OrderPlaced)


def test_a_laboratory_report_is_not_ours() -> None:
    """A report of another diagnostic service makes no case, though it has an accession."""
    lab = {"category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB"}]}]}
    assert translate(REPORT | lab | {"conclusion": "Anaemia."}, REQUEST) == []


@pytest.mark.parametrize(
    ("identifier", "issuer"),
    [
        (ACCESSION, "OWN"),
        (ACCESSION | {"system": "urn:oid:1"}, "EAST"),
        (ACCESSION | {"system": "urn:oid:2"}, "urn:oid:2"),
        (ACCESSION | {"system": "urn:own"}, "OWN"),
        (ACCESSION | {"assigner": {"display": "WEST"}}, "WEST"),
        ({"system": "urn:own", "value": "ACC900001"}, "OWN"),
    ],
)
def test_issuers(identifier: Document, issuer: str) -> None:
    """An accession belongs to whom the site's table says, else to its assigner or its system."""
    (event,) = translate(REQUEST | {"identifier": [identifier]}, systems=("urn:own",))
    assert isinstance(event, OrderPlaced)
    assert event.key == CaseKey(accession="ACC900001", issuer=issuer)


def test_where_accessions_are() -> None:
    """The accession is the report's own, or that of a logical reference, of its order or of its imaging study."""
    bare = {name: value for name, value in REPORT.items() if name != "basedOn"} | {"conclusion": "Normal."}
    study = {"resourceType": "ImagingStudy", "id": "i1", "status": "available", "identifier": [ACCESSION]}
    for focus in (
        bare | {"identifier": [ACCESSION]},
        bare | {"basedOn": [{"identifier": ACCESSION}]},
        bare | {"basedOn": [{"reference": "https://ehr.example/fhir/ServiceRequest/s1"}]},
        bare | {"imagingStudy": [{"reference": "ImagingStudy/i1"}]},
        bare | {"basedOn": [{"reference": "#o"}], "contained": [REQUEST | {"id": "o"}]},
    ):
        assert dictated(focus, REQUEST, study).key.accession == "ACC900001"
    assert translate(bare, REQUEST) == []


def test_signers() -> None:
    """The signer is the interpreter, through a role too; else the performing practitioner; else the site's default."""
    person = {
        "resourceType": "Practitioner",
        "id": "d1",
        "identifier": [{"value": "1234"}],
        "name": [{"family": "ROE", "given": ["RICHARD"]}],
    }
    role = {"resourceType": "PractitionerRole", "id": "x1", "practitioner": {"reference": "Practitioner/d1"}}
    known = Radiologist(id="1234", name="ROE^RICHARD")
    for place, expected in (
        ({"resultsInterpreter": [{"reference": "Practitioner/d1"}], "performer": [{"display": "x"}]}, known),
        ({"resultsInterpreter": [{"reference": "PractitionerRole/x1"}]}, known),
        ({"performer": [{"reference": "Organization/o"}, {"reference": "Practitioner/d1"}]}, known),
        ({"performer": [{"identifier": {"value": "9"}, "display": "Roe"}]}, Radiologist(id="9", name="Roe")),
        ({"performer": [{"reference": "Practitioner/777"}]}, Radiologist(id="777")),
        ({}, Radiologist(id="house")),
    ):  # fmt: skip
        (event,) = translate(REPORT | place | {"conclusion": "x"}, REQUEST, person, role, signer="house")
        assert isinstance(event, ReportDictated)
        assert event.signer == expected


def test_orders() -> None:
    """An order is placed, cancelled when revoked, and none at all when it is only planned."""
    (placed,) = translate(REQUEST, PATIENT)
    assert isinstance(placed, OrderPlaced)
    assert placed.patient.id == "900001"
    for status in ("revoked", "entered-in-error"):
        assert isinstance(translate(REQUEST | {"status": status})[0], OrderCancelled)
    assert translate(REQUEST | {"intent": "plan"}) == []


def test_imaging_studies() -> None:
    """A study tells its modality, body part, side and UID."""
    study = {
        "resourceType": "ImagingStudy",
        "id": "i1",
        "status": "available",
        "identifier": [ACCESSION, {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}],
        "subject": {"reference": "Patient/p1"},
        "started": "2026-01-01T10:00:00+01:00",
        "series": [
            {
                "uid": "1.2.3.4",
                "modality": {"code": "MR"},
                "bodySite": {"display": "Knee"},
                "laterality": {"display": "Left"},
            }
        ],
    }
    (event,) = translate(study, PATIENT)
    assert isinstance(event, OrderPlaced)
    seen = event.study
    assert (seen.modality, seen.body_part, seen.laterality, seen.uid) == ("MR", "KNEE", "L", "1.2.3")
    assert seen.at == datetime(2026, 1, 1, 9, tzinfo=UTC)


def test_patients() -> None:
    """A Patient updates demographics; one that is linked to its survivor is a merge."""
    (updated,) = translate(PATIENT)
    assert isinstance(updated, PatientUpdated)
    assert updated.patient.name == "DOE^JANE^Q"
    old = PATIENT | {
        "id": "p0",
        "identifier": [{"value": "800001"}],
        "link": [{"type": "replaced-by", "other": {"reference": "Patient/p1"}}],
    }
    (merged,) = translate(old, PATIENT)
    assert isinstance(merged, PatientsMerged)
    assert (merged.patient.id, merged.prior_id) == ("900001", "800001")


def test_order_of_neighbours_is_nothing() -> None:
    """The same resources make the same bytes, in whatever order they were found."""
    observations = [observe(f"o{n}", "59776-5", f"Line {n}.") for n in range(5)]
    assert make_snapshot(REPORT, observations) == make_snapshot(REPORT, [*reversed(observations), REPORT])


@given(st.binary(max_size=200) | st.from_regex(rb'\{"entry":\[\{"resource":\{.*\}\}\]\}', fullmatch=True))
def test_garbage_is_a_fault(raw: bytes) -> None:
    """Bytes that are no snapshot raise MessageFault and nothing else."""
    translator = SnapshotTranslator(Accessions(types=frozenset(), systems=frozenset()), clock=lambda: NOW)
    with pytest.raises(MessageFault):
        translator(raw)


VALUES = st.sampled_from(
    [
        "x", "2026", "2026-01-02", "2026-01-02T23:59:60.123456789+14:00", "0001-01-01T00:00:00Z", "final",
        True, 7, ["x"], {"text": "x"}, [{"text": "x"}], {"reference": "Patient/p1"},
        {"display": "x"}, [{"display": "x"}],
        {"extension": [{"url": "u", "valueCode": "c"}]}, [None, {"extension": [{"url": "u", "valueCode": "c"}]}],
        [{"family": "X", "given": ["A", "B"]}], [{"value": "1"}], [{"contentType": "text/plain"}], [{"code": "CT"}],
        [{"contentType": "text/plain; charset=utf-16", "data": "YQ=="}], {"start": "2026-01-02T00:00:00Z"},
    ]
)  # fmt: skip
WHOLE = [
    *with_results(observe("o1", "59776-5", "Clear."), performer=[{"reference": "Practitioner/d1"}], conclusion="x"),
    {"resourceType": "Practitioner", "id": "d1", "name": [{"family": "ROE"}]},
    {"resourceType": "ImagingStudy", "id": "i1", "status": "available", "subject": {"reference": "Patient/p1"}},
]


@settings(max_examples=300)
@given(st.data())
def test_what_is_valid_can_be_read(data: st.DataObject) -> None:
    """Whatever passed validation is read without a fault: what was answered 201 is never lost on the way in."""
    documents = copy.deepcopy(WHOLE)
    changed = data.draw(st.sampled_from(documents))
    elements = shape_of(changed["resourceType"]).elements
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(elements)))
        place = f"_{name}" if elements[name].primitive and data.draw(st.booleans()) else name
        changed[place] = data.draw(VALUES)
        if place != name and data.draw(st.booleans()):
            changed.pop(name, None)
    try:
        validate(changed)
    except Issues:
        return
    for focus in documents:
        translate(focus, *documents)
