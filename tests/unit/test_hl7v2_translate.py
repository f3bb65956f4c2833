"""Messages to facts, over the byte fixtures."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.case import CaseKey, Code, Order, Patient, Radiologist, ReportText, Sex, Study
from radbridge.config import Hl7v2
from radbridge.errors import MessageFault
from radbridge.events import (
    CaseEvent,
    OrderCancelled,
    OrderPlaced,
    PatientsMerged,
    PatientUpdated,
    ReportDictated,
    ReportSigned,
    ReportWithdrawn,
)
from radbridge_adapters.hl7v2.accession import AccessionPlaces, parse_places
from radbridge_adapters.hl7v2.translate import Translator

MESSAGES = Path(__file__).parents[1] / "messages"
KEY = CaseKey(accession="ACC900001", issuer="RIS")
SENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1)))
NOW = datetime(2026, 5, 6, tzinfo=UTC)

E = TypeVar("E")


def load(name: str) -> bytes:
    return (MESSAGES / f"{name}.hl7").read_bytes()


def translator(**settings: object) -> Translator:
    site = Hl7v2.model_validate(settings)
    places = AccessionPlaces(places=parse_places(site.accession_from), issuer=site.issuer, issuers=site.issuers)
    return Translator(site, places, clock=lambda: NOW)


def one(kind: type[E], raw: bytes, **settings: object) -> E:
    (event,) = translator(**settings)(raw)
    assert isinstance(event, kind)
    return event


def test_new_order() -> None:
    """An ORM^O01 tells patient, order and study."""
    event = one(OrderPlaced, load("orm_o01_new_order"))
    assert (event.key, event.at) == (KEY, SENT)
    assert event.patient == Patient(
        id="900001",
        issuer="HOSP",
        name="DOE^JANE^Q",
        birth_date=date(1960, 1, 2),
        sex=Sex.FEMALE,
        patient_class="O",
        phones=("555-0100",),
        address="1 ELM ST, SPRINGFIELD, ZZ, 00000",
        other_ids=("V900001", "A900001", "000-00-0001", "V900002"),
    )
    assert event.order == Order(
        placer="P900001",
        filler="ACC900001",
        procedure=Code(value="71260", system="C4", display="CT CHEST W CONTRAST"),
        reason="Cough",
        clinical_information="Smoker",
        priority="S",
    )
    assert event.study == Study(
        modality="CT",
        body_part="CHEST",
        contrast="with",
        description="CT CHEST W CONTRAST",
        at=datetime(2026, 1, 2, 3, 0, tzinfo=SENT.tzinfo),
    )


def test_cancelled_order() -> None:
    """ORC-1 CA takes the order back."""
    assert one(OrderCancelled, load("orm_o01_cancel")).key == KEY


@pytest.mark.parametrize("control", ["CA", "DC", "OC"])
def test_order_control(control: str) -> None:
    """Every way of taking an order back is understood; a change is none."""
    raw = load("orm_o01_cancel")
    one(OrderCancelled, raw.replace(b"ORC|CA", b"ORC|" + control.encode()))
    one(OrderPlaced, raw.replace(b"ORC|CA", b"ORC|XO"))


def test_imaging_order() -> None:
    """An OMI^O23 tells accession, study UID and modality in IPC, priority in TQ1."""
    event = one(OrderPlaced, load("omi_o23_knee"))
    assert event.key == CaseKey(accession="ACC900002", issuer="RIS")
    assert event.order.priority == "R"
    assert event.study == Study(
        modality="MR",
        body_part="KNEE",
        laterality="L",
        contrast="without",
        description="MRI KNEE LEFT WITHOUT CONTRAST",
        uid="1.2.826.0.1.3680043.8.498.1",
    )


def test_sections_by_loinc() -> None:
    """A report in progress with LOINC codes is unsigned, with sections and designated signer."""
    event = one(ReportDictated, load("oru_r01_loinc_unsigned"))
    assert event.key == KEY
    assert event.signer == Radiologist(id="1234", name="ROE^RICHARD")
    assert event.report == ReportText(
        indication="Cough for three weeks.",
        technique="Helical CT with 80 mL of contrast.",
        comparison="CT of 2 January 2025.",
        findings="There is a 4 mm nodule in the right upper lobe & no effusion.",
    )


def test_sections_by_suffix_line_by_line() -> None:
    """One OBX per line with suffixes makes the same sections; an XCN in OBR-32 is a signer."""
    event = one(ReportDictated, load("oru_r01_suffix_lines"))
    assert event.signer == Radiologist(id="1234", name="ROE^RICHARD")
    assert event.report == ReportText(
        indication="Cough.",
        findings="There is a 4 mm nodule\nin the right upper lobe.",
        impression="1. Nodule.\n2. No effusion.",
        recommendation="CT in 12 months.",
    )


def test_one_signed_obx() -> None:
    """A whole report in one FT is cut at its headings, its signature line dropped, and OBR-25 F signs it."""
    event = one(ReportSigned, load("oru_r01_one_obx_signed"))
    assert not event.corrected
    assert event.report == ReportText(
        technique="CT CHEST",
        indication="Cough.",
        comparison="None.",
        findings="There is a 4 mm nodule in the right upper lobe.\nNo effusion.",
        impression="1. Right upper lobe nodule.\n2. No effusion.",
    )


def test_flattened_report() -> None:
    """Headings inside one line are found, the word in mid-sentence is not one."""
    report = one(ReportDictated, load("oru_r01_flattened")).report
    assert report.findings == "The lungs are clear. The impression of the prior study stands."
    assert report.impression == "No acute disease."


def test_final_without_text() -> None:
    """OBX-11 U signs and tells no text: the earlier one stands."""
    assert one(ReportSigned, load("oru_r01_final_not_resent")).report == ReportText()


def test_corrected_report() -> None:
    """OBR-25 C corrects; several impressions are one, their own heading stripped."""
    event = one(ReportSigned, load("oru_r01_corrected"))
    assert event.corrected
    assert event.report == ReportText(impression="5 mm nodule.\nNo effusion.")


@pytest.mark.parametrize(("state", "reason"), [("W", "wrong_patient"), ("D", "deleted"), ("X", "not_obtainable")])
def test_withdrawn_results(state: str, reason: str) -> None:
    """OBX-11 W, D and X withdraw the report."""
    raw = load("oru_r01_wrong_patient").replace(b"|W\r", b"|" + state.encode() + b"\r")
    assert one(ReportWithdrawn, raw).reason == reason


def test_deleted_line() -> None:
    """One deleted OBX among others leaves the report without it."""
    raw = load("oru_r01_loinc_unsigned").replace(b"contrast.||||||R", b"contrast.||||||D")
    report = one(ReportDictated, raw).report
    assert report.technique == ""
    assert report.findings


def test_coded_text_and_pdf() -> None:
    """CE carries the text in component 2; an embedded PDF is passed over; OBX-16 names the signer."""
    event = one(ReportDictated, load("oru_r01_coded_text"))
    assert event.report == ReportText(findings="Clear lungs.\nNormal heart.")
    assert event.signer == Radiologist(id="5678", name="POE^EDGAR")


@pytest.mark.parametrize(
    ("name", "findings"),
    [
        ("oru_r01_gb18030", "右肺上叶见结节，直径约4毫米。"),
        ("oru_r01_iso_ir87", "右肺に結節を認める。"),
        ("oru_r01_lying_charset", "Épanchement pleural à gauche."),
        ("oru_r01_other_delimiters", "5 # 6 % more."),
        ("oru_r01_nul_bytes", "Clear lungs."),
    ],
)
def test_odd_encodings(name: str, findings: str) -> None:
    """Character sets, lies about them, other delimiters and NULs still give the text."""
    event = one(ReportDictated, load(name))
    assert event.report.findings == findings
    assert event.key == KEY


def test_document() -> None:
    """An MDM^T02 is a report: accession from TXA-15, signer from TXA-10, state from TXA-17."""
    event = one(ReportDictated, load("mdm_t02_unsigned"))
    assert (event.key, event.signer.id, event.report.findings) == (KEY, "1234", "Clear lungs.")
    one(ReportSigned, load("mdm_t02_unsigned").replace(b"|IP|", b"|AU|"))


def test_document_cancelled() -> None:
    """TXA-19 CA withdraws."""
    assert one(ReportWithdrawn, load("mdm_t02_cancelled")).reason == "document_cancelled"


def test_demographics() -> None:
    """An ADT tells the patient."""
    event = one(PatientUpdated, load("adt_a08_update"))
    assert (event.patient.id, event.patient.patient_class, event.at) == ("900001", "E", SENT)


def test_merge() -> None:
    """An A40 tells which identifier is used no more."""
    event = one(PatientsMerged, load("adt_a40_merge"))
    assert (event.patient.id, event.prior_id, event.prior_issuer) == ("900001", "900009", "HOSP")


def test_two_accessions_in_one_message() -> None:
    """A result for two accessions is one fact for each; one without a text of its own is signed with the other."""
    second = b"OBR|2|P900003|ACC900003^RIS|74177^CT ABD^C4|||||||||||||||||||||F\r"
    signed, linked = translator()(load("oru_r01_one_obx_signed") + second)
    assert isinstance(signed, ReportSigned)
    assert isinstance(linked, ReportSigned)
    assert (linked.key.accession, linked.report) == ("ACC900003", ReportText())


def test_result_without_text_is_an_order() -> None:
    """A status message without a text tells nothing of a report."""
    raw = load("oru_r01_final_not_resent").split(b"OBX")[0].replace(b"|CT|F", b"|CT|S")
    one(OrderPlaced, raw)


def test_issuer_names_are_one() -> None:
    """OBR-18 is a bare string: the issuer comes from OBR-3 beside it, by the site's own name for it."""
    raw = load("oru_r01_loinc_unsigned")
    assert one(ReportDictated, raw, issuers={"RIS": "MAIN"}).key.issuer == "MAIN"
    bare = raw.replace(b"ACC900001^RIS", b"F900001^RIS")
    assert one(ReportDictated, bare, issuer="SITE").key == CaseKey(accession="ACC900001", issuer="SITE")


def test_site_chooses_where_the_accession_is() -> None:
    """`accession_from` decides which field counts."""
    raw = load("oru_r01_loinc_unsigned").replace(b"ACC900001^RIS", b"F900001^RIS")
    assert one(ReportDictated, raw, accession_from=["OBR-3"]).key.accession == "F900001"


def test_default_signer() -> None:
    """Where no field names a signer, the site's default is meant."""
    raw = load("oru_r01_flattened").replace(b"1234&ROE&RICHARD", b"")
    assert one(ReportDictated, raw, default_signer="9").signer == Radiologist(id="9")


def test_habits_of_a_ris() -> None:
    """The site's table wins over HL7's."""
    raw = load("oru_r01_suffix_lines")
    one(ReportSigned, raw, report_status={"OBR-25.P": "signed"})


def test_times_without_offset() -> None:
    """A time without offset is in the site's zone, and no time at all is the clock's."""
    raw = load("adt_a08_update").replace(b"20260102030405+0100", b"20260102030405")
    assert one(PatientUpdated, raw, timezone="Asia/Tokyo").at == datetime(2026, 1, 1, 18, 4, 5, tzinfo=UTC)
    timeless = raw.replace(b"20260102030405", b"")
    assert one(PatientUpdated, timeless).at == NOW


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no_msh"),
        (b"hello", "no_msh"),
        (b"MSH|^~\\&|A|B|||||ZZZ^Z01|1|P|2.5\r", "unknown_type"),
        (b"MSH|^~\\&|A|B|||||ORU^R01|1|P|2.5\r", "no_accession"),
        (b"MSH|^~\\&|A|B|||||ORM^O01|1|P|2.5\rORC|NW\r", "no_accession"),
        (b"MSH|^~\\&|A|B|||||MDM^T02|1|P|2.5\rTXA|1\r", "no_accession"),
        (b"MSH|^~\\&|A|B|||||ADT^A08|1|P|2.5\rPID|1\r", "no_patient"),
        (b"MSH|^~\\&|A|B|||||ADT^A40|1|P|2.5\rPID|1||9\rMRG|\r", "no_prior_patient"),
    ],
)
def test_unreadable_messages(raw: bytes, reason: str) -> None:
    """What is no message, or lacks what it is about, is a fault that names itself."""
    with pytest.raises(MessageFault) as caught:
        translator()(raw)
    assert caught.value.reason == reason


@given(st.sampled_from(sorted(p.name for p in MESSAGES.glob("*.hl7"))), st.data())
def test_damaged_messages(name: str, data: st.DataObject) -> None:
    """A message damaged anywhere gives facts or a MessageFault, never another error."""
    raw = bytearray((MESSAGES / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(raw)))
        raw[start : start + data.draw(st.integers(0, 12))] = data.draw(st.binary(max_size=6))
    with contextlib.suppress(MessageFault):
        for event in translator()(bytes(raw)):
            assert isinstance(event, (CaseEvent, PatientUpdated, PatientsMerged))


@given(st.binary(max_size=300))
def test_any_bytes(raw: bytes) -> None:
    """Arbitrary bytes behind a header never raise anything but MessageFault."""
    with contextlib.suppress(MessageFault):
        translator()(b"MSH|^~\\&|A|B|||||ORU^R01|1|P|2.5\rOBR|1||A1|" + raw)
