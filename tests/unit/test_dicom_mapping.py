"""The one table from DICOM attributes to the case."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sr._cid_dict import cid_concepts, name_for_cid
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from radbridge.case import CaseKey
from radbridge.config import Dicom
from radbridge.errors import MessageFault
from radbridge.imaging import PREFERRED, Told
from radbridge.procedure import BODY_PARTS
from radbridge_adapters.dicom.encoding.raw import read_dataset
from radbridge_adapters.dicom.encoding.values import Elements, tag_of
from radbridge_adapters.dicom.incoming.mapping import MAPPED, WANTED_TAGS, context_of, read_key, read_told
from tests.support.dicom_scu import image
from tests.support.sr_specimens import coded

SITE = Dicom(issuer="HOSP", issuers={"1.2.3": "RIS"})
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]


def encode(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    out = DicomBytesIO()
    out.is_little_endian = syntax != ExplicitVRBigEndian
    out.is_implicit_VR = syntax == ImplicitVRLittleEndian
    write_dataset(out, dataset)
    return out.getvalue()


def item(**values: Any) -> Dataset:
    """A data set of these values; text as it is, also where its VR allows no such."""
    dataset = Dataset()
    for keyword, value in values.items():
        if isinstance(value, str):
            dataset.add_new(tag_of(keyword), "UT", value)
        else:
            setattr(dataset, keyword, value)
    return dataset


def told(**values: Any) -> Told:
    return read_told(item(StudyInstanceUID="1.2.3", **values), "images")


FULL = image(
    PatientAge="071Y",
    IssuerOfPatientID="HOSP",
    ImageLaterality="R",
    BodyPartExamined="KNEE",
    StudyDescription="MR KNEE",
    Modality="MR",
    ContrastBolusAgent="Gadobutrol",
    ProcedureCodeSequence=[coded("24802-1", "LN", "MR Knee")],
    ReasonForTheRequestedProcedure="Pain",
    TimezoneOffsetFromUTC="+0100",
    IssuerOfAccessionNumberSequence=[item(LocalNamespaceEntityID="LAB")],
)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=["explicit", "implicit", "big endian"])
def test_every_field(syntax: str) -> None:
    """Every attribute of the table is read, from raw bytes of each encoding as from values."""
    expected = Told(
        study_uid=FULL.StudyInstanceUID,
        by=FULL.SeriesInstanceUID,
        patient_id="900001",
        patient_issuer="HOSP",
        sex="F",
        birth_date=date(1955, 3, 1),
        age=71,
        modality="MR",
        body_part="KNEE",
        laterality="R",
        contrast="with",
        description="MR KNEE",
        procedure_value="24802-1",
        procedure_system="LN",
        procedure_display="MR Knee",
        reason="Pain",
        at=datetime(2026, 3, 1, 10, 15, tzinfo=timezone(timedelta(hours=1))),
    )
    assert read_told(FULL, "images") == expected
    assert read_told(read_dataset(encode(FULL, syntax), syntax), "images") == expected


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"AccessionNumber": "A1 "}, CaseKey(accession="A1", issuer="HOSP")),
        (
            {"AccessionNumber": "A1", "IssuerOfAccessionNumberSequence": [item(LocalNamespaceEntityID="LAB")]},
            CaseKey(accession="A1", issuer="LAB"),
        ),
        (
            {"AccessionNumber": "A1", "IssuerOfAccessionNumberSequence": [item(UniversalEntityID="1.2.3")]},
            CaseKey(accession="A1", issuer="RIS"),
        ),
        (
            {"AccessionNumber": "", "RequestAttributesSequence": [item(AccessionNumber="A2")] * 2},
            CaseKey(accession="A2", issuer="HOSP"),
        ),
        ({"RequestAttributesSequence": [item(AccessionNumber="A2"), item(AccessionNumber="A3")]}, None),
        ({"RequestAttributesSequence": [item(AccessionNumber="")]}, None),
        ({}, None),
    ],
)
def test_key(values: dict[str, Any], key: CaseKey | None) -> None:
    """The accession with its issuer, by the site's names; a request's only where there is one."""
    assert read_key(item(**values), SITE) == key


def test_issuer_of_the_patients_id() -> None:
    """Who gave a patient's id is called by the site's one name, as the RIS calls it."""
    named = item(StudyInstanceUID="1.2", PatientID="900001", IssuerOfPatientID="HOSP_MRN")
    by_uid = item(IssuerOfPatientIDQualifiersSequence=[item(UniversalEntityID="1.2.3")])
    assert read_told(named, "images", issuers={"HOSP_MRN": "HOSP"}).patient_issuer == "HOSP"
    assert read_told(by_uid, "images", issuers=SITE.issuers).patient_issuer == "RIS"
    assert read_told(named, "images").patient_issuer == "HOSP_MRN"


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"BodyPartExamined": "CHEST"}, "CHEST"),
        ({"BodyPartExamined": "CHESTABDPELVIS"}, "CHEST, ABDOMEN, PELVIS"),
        ({"BodyPartExamined": "LSPINE"}, "LSPINE"),
        ({"BodyPartExamined": "knee"}, "KNEE"),
        ({"BodyPartExamined": "UNSPECIFIED", "StudyDescription": "CT HEAD"}, "HEAD"),
        ({"StudyDescription": "CT CHEST"}, "CHEST"),
        ({"AnatomicRegionSequence": [coded("51185008", "SCT", "胸部")], "BodyPartExamined": "HEAD"}, "CHEST"),
        ({"AnatomicRegionSequence": [coded("T-D4000", "SRT", "Bauch")]}, "ABDOMEN"),
        ({"AnatomicRegionSequence": [coded("X1", "99ACME", "Left ankle")]}, "ANKLE"),
        (
            {
                "SharedFunctionalGroupsSequence": [
                    item(FrameAnatomySequence=[item(AnatomicRegionSequence=[coded("69536005", "SCT", "Head")])])
                ]
            },
            "HEAD",
        ),
        ({}, ""),
    ],
)
def test_body_part(values: dict[str, Any], part: str) -> None:
    """In the words of the core, by code, by DICOM's terms, else by the description."""
    assert told(**values).body_part == part


REGION_LEFT = coded("72696002", "SCT", "Knee")
REGION_LEFT.AnatomicRegionModifierSequence = [coded("7771000", "SCT", "Links")]


@pytest.mark.parametrize(
    ("values", "side"),
    [
        ({"ImageLaterality": "L", "Laterality": "R"}, "L"),
        ({"ImageLaterality": "U", "Laterality": "R"}, "R"),
        ({"Laterality": "B"}, "B"),
        ({"SharedFunctionalGroupsSequence": [item(FrameAnatomySequence=[item(FrameLaterality="R")])]}, "R"),
        ({"AnatomicRegionSequence": [REGION_LEFT]}, "L"),
        ({"StudyDescription": "MR KNEE LEFT"}, ""),
        ({}, ""),
    ],
)
def test_laterality(values: dict[str, Any], side: str) -> None:
    """Only attributes that say the side of what was imaged tell it: a wrong one blocks a draft."""
    assert told(**values).laterality == side


@pytest.mark.parametrize(
    ("values", "contrast"),
    [
        ({"ContrastBolusAgent": "Iohexol 350"}, "with"),
        ({"ContrastBolusAgent": "NONE", "StudyDescription": "CT HEAD WITHOUT CONTRAST"}, "without"),
        ({"ContrastBolusAgentSequence": [coded("109217004", "SCT", "Iohexol")]}, "with"),
        ({"StudyDescription": "CT HEAD WITHOUT AND WITH CONTRAST"}, "with and without"),
        ({"StudyDescription": "CT ABDOMEN WITH CONTRAST"}, "with"),
    ],
)
def test_contrast(values: dict[str, Any], contrast: str) -> None:
    """An agent that is named was given; else the description says."""
    assert told(**values).contrast == contrast


@pytest.mark.parametrize(
    ("age", "years"), [("071Y", 71), ("018M", 1), ("104W", 2), ("003D", 0), ("71", None), ("71Y", 71), ("0x1Y", None)]
)
def test_age(age: str, years: int | None) -> None:
    """Whole years, of whatever the age is counted in."""
    assert told(PatientAge=age).age == years


@pytest.mark.parametrize(
    ("day", "time", "moment"),
    [
        ("20260301", "101500.5", datetime(2026, 3, 1, 10, 15, 0, 500_000, UTC)),
        ("20260301", "10", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("1993.08.22", "10:15:00", datetime(1993, 8, 22, 10, 15, tzinfo=UTC)),
        ("20260301", "", datetime(2026, 3, 1, tzinfo=UTC)),
        ("20260301", "235960", datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)),
        ("20260230", "10", None),
        ("2026", "10", None),
        ("20260301", "99", None),
        ("", "10", None),
    ],
)
def test_times(day: str, time: str, moment: datetime | None) -> None:
    """Times in every form that the standard has had; one that can't be isn't told."""
    elements = b""
    for tag, vr, value in ((b"\x08\x00\x20\x00", b"DA", day), (b"\x08\x00\x30\x00", b"TM", time)):
        padded = (value + " " * (len(value) % 2)).encode()
        elements += tag + vr + len(padded).to_bytes(2, "little") + padded
    assert read_told(read_dataset(elements, ExplicitVRLittleEndian), "images").at == moment


def test_the_sites_zone() -> None:
    """A time without an offset is the site's; one with an offset is not."""
    zone = ZoneInfo("Europe/Zurich")
    local = item(StudyInstanceUID="1.2", StudyDate="20260701", StudyTime="1200")
    assert read_told(local, "images", zone=zone).at == datetime(2026, 7, 1, 10, tzinfo=UTC)
    local.TimezoneOffsetFromUTC = "-0500"
    assert read_told(local, "images", zone=zone).at == datetime(2026, 7, 1, 17, tzinfo=UTC)


def test_context() -> None:
    """A slice whose mapped attributes are those of the one before says nothing new; its time doesn't count."""
    key = read_key(FULL, SITE)
    first = read_told(FULL, "images")
    later = read_told(image(**_attributes(FULL) | {"StudyTime": "111500", "InstanceNumber": 7}), "images")
    other_side = read_told(image(**_attributes(FULL) | {"ImageLaterality": "L"}), "images")
    assert context_of(first, key) == context_of(later, key)
    assert len({context_of(first, key), context_of(other_side, key), context_of(first, None)}) == 3


def _attributes(dataset: Dataset) -> dict[str, Any]:
    return {element.keyword: element.value for element in dataset}


def test_texts_are_bounded() -> None:
    """A description of a megabyte is cut, and what is too long to be an accession is none."""
    long = item(**dict.fromkeys(("AccessionNumber", "StudyDescription", "PatientID"), "X" * 2**20))
    found = read_told(long, "images")
    assert len(found.description) <= 256
    assert len(found.patient_id) <= 64
    assert read_key(long, SITE) is None


def test_hidden_characters() -> None:
    """Control and direction characters of a description are dropped."""
    hidden = item(StudyInstanceUID="1.2", SpecificCharacterSet="ISO_IR 192", StudyDescription="CT\u202e CHEST\x00")
    assert read_told(hidden, "images").description == "CT CHEST"


def test_wanted_tags() -> None:
    """What is kept whatever its length is what the table reads, and the character set to read it by."""
    keywords = {keyword for attribute in MAPPED for keyword in attribute.keywords}
    assert {tag_of(k) for k in keywords} | {0x00080005} == WANTED_TAGS


def test_who_wins() -> None:
    """The table names DICOM the winner of just those fields in which the core believes it."""
    wins = {attribute.field for attribute in MAPPED if attribute.wins == "DICOM"}
    assert {"uid" if field == "study_uid" else field for field in wins} == PREFERRED


def test_documented() -> None:
    """The conformance statement has the table, row by row."""
    text = (Path(__file__).parents[2] / "docs/reference/dicom.md").read_text(encoding="utf-8")
    rows = [f"| {a.field} | {', '.join(f'`{k}`' for k in a.keywords)} | {a.wins or '-'} | {a.note} |" for a in MAPPED]
    table = text.split("| field | attributes | wins | how it is read |")[1].split("\n\n")[0]
    assert table.strip().splitlines()[1:] == rows


def test_region_codes() -> None:
    """Every region of the code table is one of the core's; and codes of the standard's CID 4 are among them."""
    assert name_for_cid[4] == "AnatomicRegion"
    regions = {word for part in _tables()["region"] for word in part.split(", ")}
    assert regions <= {part for _, part in BODY_PARTS}
    assert cid_concepts[4]


def _tables() -> dict[str, dict[str, list[str]]]:
    import tomllib
    from importlib.resources import files

    return tomllib.loads(
        files("radbridge_adapters.dicom.incoming").joinpath("sr_codes.toml").read_text(encoding="utf-8")
    )


@given(st.binary(max_size=200), st.sampled_from(SYNTAXES))
def test_any_elements(elements: bytes, syntax: str) -> None:
    """Any bytes are told something of, or refused by a fault: nothing else is raised, nothing is warned of."""
    try:
        dataset = read_dataset(elements, syntax)
    except MessageFault:
        return
    assert isinstance(read_told(dataset, "images"), Told)


@given(st.binary(min_size=1, max_size=6), st.integers(0, 10**6), st.sampled_from(SYNTAXES))
def test_damaged_header(damage: bytes, at: int, syntax: str) -> None:
    """A header that was damaged anywhere is told something of, or refused by a fault."""
    raw = bytearray(encode(FULL, syntax))
    at %= len(raw)
    raw[at : at + len(damage)] = damage
    try:
        dataset = read_dataset(bytes(raw), syntax)
    except MessageFault:
        return
    assert isinstance(read_told(dataset, "images"), Told)
    read_key(dataset, SITE)


def test_sequence_of_unknown_vr() -> None:
    """A sequence of undefined length in VR UN holds implicit elements (PS3.5 6.2.2)."""
    inner = b"\x40\x00\x02\x10" + (4).to_bytes(4, "little") + b"Pain"
    sequence = (
        b"\x40\x00\x75\x02UN\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
        + inner
        + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    )
    dataset = read_dataset(sequence + b"\x40\x00\x53\x02SH\x02\0X ", ExplicitVRLittleEndian)
    assert read_told(dataset, "images").reason == "Pain"
    assert Elements.of(dataset).text("PerformedProcedureStepID") == "X"
