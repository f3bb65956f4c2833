"""The SR that carries a draft: what it says, and what it can never say."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from radbridge.case import Case, CaseKey, Code, Order, Patient, Study
from radbridge.draft import DraftImpression, Flag, Severity, Stage
from radbridge_adapters.dicom import writing as room
from radbridge_adapters.dicom.encoding.part10 import read_part10
from radbridge_adapters.dicom.encoding.values import Elements, is_uid
from radbridge_adapters.dicom.writing import compose as composing
from radbridge_adapters.dicom.writing import uids
from radbridge_adapters.dicom.writing.withdraw import compose_note
from radbridge_adapters.dicom.writing.wording import charset_of, identifier, line, paragraphs, person_name
from tests.support.drafts import AT, CASE, DRAFT
from tests.support.sr import COMPOSER, DOCUMENTS, IMAGES, SHAPES, items, write, write_note

TEXT = st.text(max_size=60)
AWARE = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
CASES = st.builds(
    Case,
    key=st.builds(CaseKey, accession=TEXT, issuer=TEXT),
    patient=st.builds(Patient, id=TEXT, issuer=TEXT, name=TEXT),
    order=st.builds(Order, placer=TEXT, filler=TEXT, procedure=st.builds(Code, value=TEXT, system=TEXT, display=TEXT)),
    study=st.builds(Study, uid=TEXT, description=TEXT, at=AWARE),
)
FLAGS = st.builds(Flag, kind=TEXT, message=TEXT, severity=st.sampled_from(Severity))
DRAFTS = st.builds(
    DraftImpression,
    id=TEXT,
    text=TEXT,
    findings_digest=TEXT,
    signer=TEXT,
    lora=TEXT,
    model=TEXT,
    base_digest=TEXT,
    prompt_version=TEXT,
    stage=st.sampled_from(Stage),
    flags=st.lists(FLAGS, max_size=3).map(tuple),
    made_at=AWARE,
)
FINAL_WORDS = {"VERIFIED", "COMPLETE", "FINAL"}


def read(raw: bytes) -> Dataset:
    """The document, every value decoded."""
    document = read_part10(raw)
    with disable_value_validation():  # pydicom counts a name's bytes, not its characters
        document.decode()
    return document


@settings(max_examples=60)
@given(CASES, DRAFTS)
def test_whatever_is_drafted_leaves_unverified(case: Case, draft: DraftImpression) -> None:
    """Rule 2: no case and no draft gives a document, or a note, that is complete, verified, final, or somebody's."""
    document = read(COMPOSER.compose(case, draft))
    states = [document.CompletionFlag, document.VerificationFlag, document.PreliminaryFlag]
    assert states == ["PARTIAL", "UNVERIFIED", "PRELIMINARY"]
    note = read(compose_note(document, draft.id, "RADBRIDGE", draft.made_at))
    for written in (document, note):
        assert not {"VerifyingObserverSequence", "VerificationDateTime"} & set(written.dir())
        assert not any(element.value in FINAL_WORDS for element in written.iterall() if element.VR == "CS")
    uid_fields = (document.SOPInstanceUID, document.StudyInstanceUID, document.SeriesInstanceUID)
    assert all(is_uid(uid) for uid in uid_fields)


def test_no_module_that_writes_knows_a_final_state() -> None:
    """Rule 2 in the code: the states have one value each, and no string of the writing modules names another."""
    for states in (composing.Completion, composing.Verification, composing.Preliminary):
        assert len(states) == 1
        assert not {state.value for state in states} & FINAL_WORDS
    for name in ("compose", "content", "document", "evidence", "sink", "uids", "withdraw", "wording"):
        tree = ast.parse(Path(next(iter(room.__path__)), f"{name}.py").read_text())
        strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not strings & FINAL_WORDS, name


def test_the_impression_is_coded_and_says_the_draft() -> None:
    """One TEXT 121073 in a section 121072 holds the text, lines ended by CR LF, after a notice that it is a draft."""
    document = read(write(SHAPES["full"]))
    (section,) = items(document, "121072")
    (impression,) = items(section, "121073")
    assert impression.TextValue == "No acute disease.\r\nStable 4 mm nodule."
    notice, *flags = [item.TextValue for item in items(section, "121106")]
    assert "not verified" in notice
    assert flags == [
        "AI draft, unverified: warning: measurement: measurement: 16 mm here, 6 mm there",
        "AI draft, unverified: critical: laterality: laterality: 16 mm here, 6 mm there",
    ]
    assert section.ContentSequence[0] is items(section, "121106")[0]


def test_it_says_what_wrote_it() -> None:
    """The equipment that contributed is the model with its LoRA, and the style memory where examples were used."""
    for draft, told in ((DRAFT, "stage fine, memory m1/9"), (replace(DRAFT, examples=()), "stage fine")):
        (equipment,) = read(COMPOSER.compose(CASE, draft)).ContributingEquipmentSequence
        assert equipment.ContributionDescription.endswith(told)
        assert equipment.SoftwareVersions == draft.lora


def test_it_is_filed_beside_the_images() -> None:
    """Study, patient, accession with issuer, and the request are the case's; the evidence names the images."""
    document = read(write(SHAPES["full"]))
    assert (document.StudyInstanceUID, document.PatientID, document.AccessionNumber) == ("1.2.3", "900001", "ACC900001")
    assert document.PatientName == "DOE^JANE^Q"
    assert document.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "RIS"
    (request,) = document.ReferencedRequestSequence
    assert (request.StudyInstanceUID, request.AccessionNumber) == ("1.2.3", "ACC900001")
    assert request.RequestedProcedureCodeSequence[0].CodingSchemeDesignator == "LN"
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    named = [
        (series.SeriesInstanceUID, reference.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    ]
    assert named == [(image.series, image.sop_instance) for image in IMAGES]


def test_a_study_without_images_gets_a_uid_of_its_accession() -> None:
    """Nobody told a Study Instance UID: the drafts of an accession still lie in one study, and name no evidence."""
    first, second = (read(COMPOSER.compose(CASE, replace(DRAFT, id=id))) for id in ("D1", "D2"))
    assert first.StudyInstanceUID == second.StudyInstanceUID == uids.study_uid(CASE.key)
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert "CurrentRequestedProcedureEvidenceSequence" not in first


def test_a_study_keeps_the_uid_that_its_images_have() -> None:
    """A UID with leading zeros is none by the book, but the images have it: draft, evidence and note repeat it."""
    case = replace(CASE, study=replace(CASE.study, uid="1.2.03.4"))
    images = [replace(IMAGES[0], sop_instance="1.2.03.4.1", series="1.2.03.4.0")]
    sent = COMPOSER.compose(case, DRAFT, images)
    note = Elements.of(read_part10(compose_note(read_part10(sent), "C1", "RADBRIDGE", AT)))
    said = Elements.of(read_part10(sent))
    assert said.text("StudyInstanceUID") == note.text("StudyInstanceUID") == "1.2.03.4"
    assert said.first("ReferencedRequestSequence").text("StudyInstanceUID") == "1.2.03.4"
    [series] = said.first("CurrentRequestedProcedureEvidenceSequence").items("ReferencedSeriesSequence")
    assert series.text("SeriesInstanceUID") == "1.2.03.4.0"
    assert series.first("ReferencedSOPSequence").text("ReferencedSOPInstanceUID") == "1.2.03.4.1"


def test_what_is_sent_twice_is_one_object() -> None:
    """The same draft has the same UIDs whenever it is composed, and others at another destination."""
    again = replace(COMPOSER, destination="archive")
    first, second, other = (
        read(c.compose(CASE, DRAFT, i)) for c, i in ((COMPOSER, ()), (COMPOSER, IMAGES), (again, ()))
    )
    assert first.SOPInstanceUID == second.SOPInstanceUID != other.SOPInstanceUID


def test_the_study_date_is_the_images() -> None:
    """Times stand in the site's zone with its offset: a study of half past midnight keeps the date of its images."""
    at = datetime(2026, 6, 30, 22, 30, tzinfo=UTC)  # 00:30 of 1 July in Zurich
    document = read(COMPOSER.compose(replace(CASE, study=replace(CASE.study, at=at)), DRAFT))
    assert (document.StudyDate, document.StudyTime, document.TimezoneOffsetFromUTC) == ("20260701", "003000", "+0200")
    assert (document.ContentDate, document.ContentTime) == ("20260102", "050405"), f"{AT} in the same offset"


@pytest.mark.parametrize(("shape", "charset"), [("plain", None), ("latin", "ISO_IR 100"), ("unicode", "ISO_IR 192")])
def test_the_smallest_character_set_is_used(shape: str, charset: str | None) -> None:
    """ASCII names none, Latin-1 names ISO_IR 100, anything else UTF-8; the text comes back letter by letter."""
    document = read(write(SHAPES[shape]))
    assert document.get("SpecificCharacterSet") == charset
    (impression,) = items(document, "121073")
    assert impression.TextValue == SHAPES[shape][1].text.replace("\n", "\r\n")


def test_the_writer_is_named() -> None:
    """Model and LoRA stand as contributing equipment, a device as observer: nobody takes it for a person's."""
    document = read(write(SHAPES["full"]))
    (equipment,) = document.ContributingEquipmentSequence
    assert (equipment.ManufacturerModelName, equipment.SoftwareVersions) == ("tiny", "rad/1234@v1-0123456789ab")
    assert items(document, "121005")[0].ConceptCodeSequence[0].CodeValue == "121007"
    assert items(document, "121013")[0].TextValue == document.Manufacturer == "RadBridge"


def test_a_withdrawal_rejects_the_very_object() -> None:
    """The note names the SR in evidence and content, rejected for patient safety, in the same study and patient."""
    sent, note = read(write(SHAPES["full"])), read(write_note(SHAPES["full"]))
    assert note.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.59"
    assert note.ConceptNameCodeSequence[0].CodeValue == "113037"
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber", "StudyDate"):
        assert note[keyword].value == sent[keyword].value
    (series,) = note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert series.SeriesInstanceUID == sent.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == sent.SOPInstanceUID
    reference = note.ContentSequence[-1].ReferencedSOPSequence[0]
    assert (reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID) == (
        sent.SOPClassUID,
        sent.SOPInstanceUID,
    )
    assert (note.SeriesInstanceUID, note.SOPInstanceUID) != (sent.SeriesInstanceUID, sent.SOPInstanceUID)


def test_a_withdrawal_holds_no_text_of_the_draft() -> None:
    """Nobody reads in the note what was taken back."""
    assert b"nodule" in write(SHAPES["full"])
    assert b"nodule" not in write_note(SHAPES["full"])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_values_keep_to_their_representations(kind: str, shape: str) -> None:
    """No value is longer than its VR allows or holds a separator or control character, whatever the case brought."""
    most = {"SH": 16, "LO": 64, "PN": 64, "ST": 1024, "CS": 16, "UI": 64}
    for element in read(DOCUMENTS[kind](SHAPES[shape])).iterall():
        if element.VR in most and element.value:
            value = str(element.value)
            assert (element.VM, len(value) <= most[element.VR]) == (1, True), element.keyword
            assert not any(ord(c) < 32 or c == "\\" for c in value), element.keyword


def test_identifiers_are_never_cut() -> None:
    """An identifier that doesn't fit is left out: part of it is somebody else's."""
    assert identifier("A" * 17, 16) == ""
    assert identifier(" A1 ", 16) == "A1"
    assert identifier("A\\1") == ""
    assert line("A\\1 " * 40, 64) == ("A/1 " * 16).strip()


@given(st.text(max_size=200))
def test_text_loses_nothing_but_what_cannot_be_written(text: str) -> None:
    """Letters stay as they are and in order; no control character is left but the ends of lines."""
    written = paragraphs(text)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in written.replace("\r\n", ""))
    assert [c for c in written if c.isalnum()] == [c for c in text if c.isalnum()]
    charset = charset_of(written)
    written.encode({"": "ascii", "ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"}[charset])


@given(st.text(max_size=120))
def test_names_are_one_group_of_three_parts(name: str) -> None:
    """A name is one group of at most three components: HL7 and PN agree on no more."""
    written = person_name(name)
    assert written.count("^") <= 2
    assert not set(written) & {"=", "\\"}
    assert len(written) <= 64
