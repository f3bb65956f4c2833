"""What can't both be true of one case."""

from __future__ import annotations

from datetime import date

import pytest

from radbridge.case import Case, CaseKey, Patient, Record, Sex, Study
from radbridge.contradictions import PAIRED, find_contradictions, find_grave
from radbridge.imaging import Told
from radbridge.procedure import BODY_PARTS

JANE = Patient(id="900001", issuer="HOSP", sex=Sex.FEMALE, birth_date=date(1950, 1, 2), other_ids=("777",))
RIGHT_KNEE = Study(body_part="KNEE", laterality="R")


def case(*told: Told, patient: Patient = JANE, study: Study = RIGHT_KNEE) -> Case:
    return Case(key=CaseKey(accession="A1"), ris=Record(patient=patient, study=study), told=told)


@pytest.mark.parametrize(
    "told",
    [
        Told(study_uid="1"),
        Told(study_uid="1", patient_id="900001", patient_issuer="HOSP", sex="F", birth_date=date(1950, 1, 2)),
        Told(study_uid="1", patient_id=" 000900001 "),
        Told(study_uid="1", patient_id="777"),
        Told(study_uid="1", sex="O"),
        Told(study_uid="1", laterality="R", body_part="KNEE"),
        Told(study_uid="1", laterality="L", body_part="CHEST"),
    ],
)
def test_what_agrees(told: Told) -> None:
    """The same in another spelling, or a side of no paired part, is no contradiction."""
    assert find_contradictions(case(told)) == ()


@pytest.mark.parametrize(
    ("told", "what", "grave"),
    [
        (Told(study_uid="1", patient_id="900002", patient_issuer="HOSP"), "patient id", True),
        (Told(study_uid="1", patient_id="900002"), "patient id", True),
        (Told(study_uid="1", sex="M"), "sex", True),
        (Told(study_uid="1", laterality="L", body_part="KNEE"), "laterality", True),
        (Told(study_uid="1", laterality="L"), "laterality", True),
        (Told(study_uid="1", laterality="L", body_part="HAND"), "laterality", True),
        (Told(study_uid="1", birth_date=date(1951, 1, 2)), "birth date", False),
        (Told(study_uid="1", patient_id="900002", patient_issuer="ELSEWHERE"), "patient id", False),
        (Told(study_uid="1", laterality="B", body_part="KNEE"), "laterality", False),
    ],
)
def test_what_contradicts(told: Told, what: str, grave: bool) -> None:
    """Another patient, sex or side may be a mix-up; what may be in order all the same is told. No value is said."""
    [found] = find_contradictions(case(told))
    assert (found.what, found.grave) == (what, grave)
    assert find_grave(case(told)) == ({what} if grave else set())
    assert not any(v in repr(found) for v in ("900001", "900002", "1951"))


def test_two_studies_of_one_accession() -> None:
    """Two studies may differ in side, but not in whose they are; the RIS needn't have told anything."""
    left, right = (Told(study_uid=s, laterality=s, body_part="KNEE", patient_id="1") for s in "LR")
    assert find_contradictions(case(left, right, patient=Patient(), study=Study())) == ()
    other = Told(study_uid="3", patient_id="2", sex="M", birth_date=date(1950, 1, 1))
    woman = Told(study_uid="4", sex="F", birth_date=date(1951, 1, 1))
    found = find_contradictions(case(left, right, other, woman, patient=Patient(), study=Study()))
    assert [c.what for c in found] == ["patient id", "sex", "birth date"]


def test_paired_parts_are_body_parts() -> None:
    """Every paired part is one that procedures are read into."""
    assert {part for _, part in BODY_PARTS} >= PAIRED
