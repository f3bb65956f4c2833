"""What the imaging side tells, joined and said."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from radbridge.case import Case, CaseKey, Patient, ReportText, Study
from radbridge.imaging import (
    MAX_LINE_CHARS,
    MAX_MEASURED,
    MAX_TOLD,
    Measured,
    Prior,
    Told,
    join_parts,
    join_sides,
    measure,
    observe,
    tell_comparison,
)

NODULE = Measured(source="AI: Acme LungScan", finding="nodule", site="right upper lobe", value="6", unit="mm")
DOSE = Measured(source="dose", kind="DLP", value="512", unit="mGy.cm")
VOLUME = Measured(source="AI: X", finding="nodule", site="left lung", kind="volume", value="120", unit="mm3")
SIGN = Measured(source="AI: X", finding="pneumothorax", laterality="L")


@pytest.mark.parametrize(
    ("measured", "line", "comparable"),
    [
        (NODULE, "[AI: Acme LungScan] 6 mm nodule, right upper lobe", True),
        (DOSE, "[dose] DLP 512 mGy.cm", False),
        (VOLUME, "[AI: X] nodule, left lung, volume 120 mm3", True),
        (SIGN, "[AI: X] pneumothorax", True),
        (Measured(source="AI: X", finding="emphysema"), "[AI: X] emphysema", False),
    ],
)
def test_a_line_says_whose_it_is(measured: Measured, line: str, comparable: bool) -> None:
    """A machine's word begins with the machine, and counts beside dictated text when it has a size or a place."""
    assert (measured.line, measured.is_comparable) == (line, comparable)


@given(st.builds(Measured, source=st.text(), finding=st.text(), site=st.text(), value=st.text(), unit=st.text()))
def test_a_line_has_its_limit(measured: Measured) -> None:
    """However much a machine writes, a line stays a line."""
    assert len(measured.line) <= MAX_LINE_CHARS


def test_no_values_in_a_representation() -> None:
    """Nothing that tells of a patient is in the representation of these values."""
    prior = Prior(study_uid="1.2", accession="A9", on=date(2025, 3, 1), impression="Stable.")
    said = repr((NODULE, Told(study_uid="1.2", patient_id="900001", birth_date=date(1950, 1, 2), reason="fell"), prior))
    assert not any(word in said for word in ("nodule", "lobe", "900001", "1950", "fell", "A9", "2025", "Stable"))


SERIES = [
    Told(study_uid="1", modality="PT", laterality="L", body_part="CHEST"),
    Told(study_uid="1", modality="CT", laterality="R", body_part="ABDOMEN", contrast="with"),
    Told(study_uid="1", at=datetime(2026, 3, 1, 9, tzinfo=UTC), contrast="without"),
    Told(study_uid="1", at=datetime(2026, 3, 1, 8, tzinfo=UTC), description="PET/CT"),
]


@given(st.permutations(SERIES))
def test_series_in_any_order_are_one_study(series: list[Told]) -> None:
    """Sides and parts of a study are those of all its series, its time is the first, PET/CT is PT."""
    known: tuple[Told, ...] = ()
    for told in (*series, *series):
        known = observe(known, told)
    [study] = known
    assert (study.modality, study.laterality, study.body_part) == ("PT", "B", "ABDOMEN, CHEST")
    assert (study.contrast, study.description) == ("with", "PET/CT")
    assert study.at == datetime(2026, 3, 1, 8, tzinfo=UTC)


def test_what_was_told_last_of_a_step_holds() -> None:
    """A step's state and a corrected patient number are the last ones told; silence takes nothing back."""
    known: tuple[Told, ...] = ()
    for step, number in (("IN PROGRESS", "1"), ("COMPLETED", "2"), ("", "")):
        known = observe(known, Told(study_uid="1", by="mpps", step=step, patient_id=number))
    assert (known[0].step, known[0].patient_id) == ("COMPLETED", "2")


def test_studies_are_kept_apart_up_to_a_limit() -> None:
    """Each study has an entry of its own, and nobody fills a case with studies."""
    known: tuple[Told, ...] = ()
    for number in range(MAX_TOLD + 5):
        known = observe(known, Told(study_uid=f"1.{number:03}"))
    assert [t.study_uid for t in known] == [f"1.{n:03}" for n in range(MAX_TOLD)]


def test_a_later_object_replaces() -> None:
    """The same object again changes nothing; a later version and a later value of the same lesion take its place."""
    first = Measured(
        source="AI: X", finding="nodule", value="6", unit="mm", tracking="n1", kind="diameter", sop_uid="1"
    )
    other = Measured(source="AI: X", finding="nodule", value="9", unit="mm", sop_uid="1")
    known = measure((), (first, other), sop_uid="1")
    assert measure(known, (first, other), sop_uid="1") == known
    later = Measured(
        source="AI: X", finding="nodule", value="7", unit="mm", tracking="n1", kind="diameter", sop_uid="2"
    )
    assert measure(known, (later,), sop_uid="2") == (other, later)
    assert measure(known, (later,), sop_uid="2", replaces=("1",)) == (later,)
    many = tuple(Measured(source="X", value=str(n), sop_uid="3") for n in range(MAX_MEASURED + 5))
    assert measure(known, many, sop_uid="3") == many[5:]


def test_joining() -> None:
    """Left and right are both; body parts are named once each."""
    assert [join_sides(s) for s in (("L", "R"), ("L", ""), ("", ""), ("B", "L"), ())] == ["B", "L", "", "B", ""]
    assert join_parts(("CHEST, ABDOMEN", "", "CHEST")) == "ABDOMEN, CHEST"


def test_a_prior_is_named_and_quoted() -> None:
    """The comparison names the prior and what it concluded; what the guard takes is the name alone."""
    prior = Prior(study_uid="1", on=date(2025, 3, 1), modality="CT", body_part="CHEST", impression="Stable nodule.")
    case = Case(key=CaseKey(accession="A1"), prior=prior)
    assert (case.compared_with, case.concluded_before) == ("CT CHEST of 2025-03-01.", "Stable nodule.")
    assert tell_comparison("", "") == ""
    told = tell_comparison(case.compared_with, case.concluded_before)
    assert told == "CT CHEST of 2025-03-01. Its impression: Stable nodule."
    dictated = Case(key=CaseKey(accession="A1"), prior=prior, report=ReportText(comparison="None."))
    assert (dictated.compared_with, dictated.concluded_before) == ("None.", "")


@pytest.mark.parametrize(
    ("ordered", "seen", "side"),
    [("R", (), "R"), ("", ("L",), "L"), ("R", ("R",), "R"), ("R", ("B",), ""), ("", (), "")],
)
def test_the_side_that_was_examined(ordered: str, seen: tuple[str, ...], side: str) -> None:
    """A case has a side where order and images know of no other."""
    told = tuple(Told(study_uid=str(n), laterality=s) for n, s in enumerate(seen))
    assert Case(key=CaseKey(accession="A1"), study=Study(laterality=ordered), told=told).side == side


def test_the_age_of_the_images() -> None:
    """Without a date of birth the age that the images give is the age."""
    told = (Told(study_uid="1", age=71),)
    case = Case(key=CaseKey(accession="A1"), told=told)
    assert case.age == 71
    born = Patient(birth_date=date(1950, 1, 1))
    at = datetime(2026, 3, 1, tzinfo=UTC)
    assert Case(key=CaseKey(accession="A1"), patient=born, dictated_at=at, told=told).age == 76


def test_old_documents_load() -> None:
    """A case that was stored before there were images is read as it was, and written without them."""
    adapter = TypeAdapter(Case)
    old = b'{"key":{"accession":"A1"},"study":{"modality":"CT"},"state":"open"}'
    case = adapter.validate_json(old)
    assert (case.study.modality, case.told, case.ris, case.by_ris.study.modality) == ("CT", (), None, "CT")
    assert adapter.dump_json(case, exclude_defaults=True) == b'{"key":{"accession":"A1"},"study":{"modality":"CT"}}'
    full = Case(key=CaseKey(accession="A1"), told=tuple(SERIES), measured=(NODULE,), prior=Prior(study_uid="1"))
    assert adapter.validate_json(adapter.dump_json(full, exclude_defaults=True)) == full
