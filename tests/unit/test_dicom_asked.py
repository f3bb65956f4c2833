"""Questions, and what is kept of answers in DICOM and in DICOM JSON."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from radbridge.case import CaseKey
from radbridge_adapters.dicom.asking.asked import Wanted, ask_for, is_plain, journal, keep, keep_json, name_case
from radbridge_adapters.dicom.asking.priors_query import SERIES, STUDY
from radbridge_adapters.dicom.asking.worklist import WANTED
from radbridge_adapters.dicom.encoding.encode import encode
from radbridge_adapters.dicom.encoding.header import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from radbridge_adapters.dicom.encoding.part10 import read_part10
from radbridge_adapters.dicom.encoding.raw import read_dataset
from radbridge_adapters.dicom.encoding.values import Elements, tag_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
tags = st.sampled_from([f"{tag_of(keyword):08X}" for keyword in (*WANTED, *STUDY, *SERIES)])
attributes = json_values | st.fixed_dictionaries({"vr": st.just("LO"), "Value": json_values})


@given(st.dictionaries(tags, attributes, max_size=8))
def test_any_json_is_survived(told: dict[str, object]) -> None:
    """Whatever a DICOMweb server sends, something is kept of it or nothing; it can always be journaled."""
    kept = name_case(keep_json(told, WANTED), CaseKey(accession="A1"))
    digest, raw = journal(kept, "1.2.840.10008.5.1.4.31")
    assert (digest, raw) == journal(kept, "1.2.840.10008.5.1.4.31")
    assert Elements.of(read_part10(raw)).text("AccessionNumber") == "A1"


@given(st.text("AB19ÄÜ李 ^.-", max_size=90), st.sampled_from((EXPLICIT_LITTLE, IMPLICIT_LITTLE)))
def test_a_question_holds_any_value(value: str, syntax: str) -> None:
    """Values that are longer than their VR allows, and UIDs that are none, go out as they are, and nothing warns."""
    known = dict.fromkeys(("AccessionNumber", "PatientID", "StudyInstanceUID"), value)
    sent = Elements.of(read_dataset(encode(ask_for(WANTED, known), syntax), syntax))
    assert {sent.text(keyword) for keyword in known} == {value.strip()}
    assert len(sent.items("ScheduledProcedureStepSequence")) == 1


def test_dicom_and_json_tell_the_same() -> None:
    """The same study in both encodings is kept alike."""
    study = Dataset()
    study.PatientID, study.StudyInstanceUID, study.ModalitiesInStudy = "900001", "1.2", ["CT", "SR"]
    study.StudyDescription, study.StudyDate = "THORAX MÜLLER", "20250301"
    assert keep(Elements.of(study), STUDY) == keep_json(study.to_json_dict(), STUDY)


def test_a_question_asks_for_all_that_is_wanted() -> None:
    """Every wanted attribute is there, empty or to match by; text that isn't ASCII declares its character set."""
    query = ask_for(WANTED, {"AccessionNumber": "A1"})
    assert {element.keyword for element in query} == set(WANTED)
    assert query.AccessionNumber == "A1"
    assert query.ScheduledProcedureStepSequence[0].Modality == ""
    assert ask_for(STUDY, {"PatientID": "MÜ1"}).SpecificCharacterSet == "ISO_IR 192"


def test_a_case_is_named_anew() -> None:
    """An answer says the case's accession and issuer, whatever it said; the answer itself stays as it was."""
    answer, issuer = Dataset(), Dataset()
    issuer.LocalNamespaceEntityID = "NORTH"
    answer.AccessionNumber, answer.IssuerOfAccessionNumberSequence = "A1", [issuer]
    named = name_case(answer, CaseKey(accession="A2"))
    assert named.AccessionNumber == "A2"
    assert "IssuerOfAccessionNumberSequence" not in named
    assert answer.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "NORTH"
    named = name_case(answer, CaseKey(accession="A1", issuer="SOUTH"))
    assert named.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "SOUTH"


@pytest.mark.parametrize(
    ("value", "plain"),
    [("A1", True), ("MÜ 1", True), ("", False), ("A*", False), ("A?", False), ("A\\B", False), ("A\n", False)],
)
def test_what_can_be_asked_for(value: str, plain: bool) -> None:
    """A wildcard, a list or a control character is never part of a question."""
    assert is_plain(value) is plain


def test_the_reference_shows_what_is_asked_for() -> None:
    """docs/reference/dicom.md lists exactly the attributes that are asked for and kept."""
    reference = (Path(__file__).parents[2] / "docs/reference/dicom.md").read_text()
    for name, wanted in (("scheduled step", WANTED), ("study", STUDY), ("series", SERIES)):
        assert f"| {name} | {_show(wanted)} |" in reference


def _show(wanted: Wanted) -> str:
    return ", ".join(
        f"{keyword} ({_show(below)})" if below is not None else keyword for keyword, below in wanted.items()
    )
