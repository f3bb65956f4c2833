"""What the RIS and the imaging side tell of one case that can't both be true: a mix-up, perhaps.

A contradiction says what of, never the values: it may be logged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from radbridge.case import Case
from radbridge.imaging import fold_id, join_sides, split_parts

PAIRED = frozenset("""BREAST SHOULDER HUMERUS ELBOW FOREARM WRIST HAND HIP FEMUR KNEE TIBIA ANKLE FOOT""".split())
"""Of `radbridge.procedure.BODY_PARTS`, those of which there is a left and a right one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contradiction:
    """Two words that can't both be true."""

    what: str
    """`patient id`, `sex`, `laterality` or `birth date`."""
    grave: bool
    """Whether the draft may be of another patient or another side."""
    message: str


_PATIENT = Contradiction(
    what="patient id",
    grave=True,
    message="the order and the images name different patients; check whose study this is",
)
_AUTHORITY = Contradiction(
    what="patient id",
    grave=False,
    message="the order and the images number the patient by different authorities; nobody can tell whether it is one",
)
_SEX = Contradiction(
    what="sex",
    grave=True,
    message="the order and the images give the patient different sexes; check whose study this is",
)
_LATERALITY = Contradiction(
    what="laterality",
    grave=True,
    message="the order and the images are of different sides; check which side was examined",
)
_BOTH_SIDES = Contradiction(
    what="laterality",
    grave=False,
    message="there are images of the side that wasn't ordered too; check which side was examined",
)
_BIRTH_DATE = Contradiction(
    what="birth date",
    grave=False,
    message="the order and the images give the patient different dates of birth; check whose study this is",
)


def find_contradictions(case: Case) -> tuple[Contradiction, ...]:
    """Every contradiction of the case, the gravest first."""
    return tuple(_find(case)) if case.told else ()


def find_grave(case: Case) -> frozenset[str]:
    """What the grave ones are of."""
    return frozenset(c.what for c in find_contradictions(case) if c.grave)


def _find(case: Case) -> Iterator[Contradiction]:
    patient, ordered = case.by_ris.patient, case.by_ris.study
    said = [identity for told in case.told for identity in told.identities]
    ids = {(patient.id, patient.issuer), *((i.patient_id, i.patient_issuer) for i in said)}
    same = {fold_id(i) for i in (patient.id, *patient.other_ids)} if patient.id else set()
    apart = [(one, other) for one, other in combinations(ids, 2) if _are_apart(one, other, same)]
    if any(_may_be_compared(one, other) for one, other in apart):
        yield _PATIENT
    if {"M", "F"} <= {str(patient.sex), *(i.sex for i in said)}:
        yield _SEX
    paired = PAIRED | split_parts(ordered.body_part)
    seen = join_sides([t.laterality for t in case.told if not t.body_part or split_parts(t.body_part) & paired])
    if {ordered.laterality, seen} == {"L", "R"}:
        yield _LATERALITY
    elif ordered.laterality in ("L", "R") and seen == "B":
        yield _BOTH_SIDES
    if apart and not any(_may_be_compared(one, other) for one, other in apart):
        yield _AUTHORITY
    born = {d for d in (patient.birth_date, *(i.birth_date for i in said)) if d}
    if len(born) > 1:
        yield _BIRTH_DATE


def _are_apart(one: tuple[str, str], other: tuple[str, str], same: set[str]) -> bool:
    """Whether two identifiers aren't known to be of one patient."""
    ids = {fold_id(one[0]), fold_id(other[0])}
    return "" not in ids and len(ids) > 1 and not ids <= same


def _may_be_compared(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether one authority gave both, or one may have: where an identifier names none."""
    return one[1] == other[1] or not (one[1] and other[1])
