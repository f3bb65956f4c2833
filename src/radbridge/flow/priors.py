"""The earlier study that a draft is compared with: the newest one of the same body part, by the same modality first."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from sqlalchemy import Connection

from radbridge.case import Case, CaseKey
from radbridge.imaging import MAX_IMPRESSION_CHARS, Prior, split_parts
from radbridge.journal import cases

MAX_LOOKED_AT = 50
"""Cases of the patient that are looked at, the last touched first."""


def load_with_prior(conn: Connection, key: CaseKey) -> Case | None:
    """The case with the prior that is the right one now. It reads other cases: it is for a draft, not for a message."""
    case = cases.load(conn, key)
    return None if case is None else replace(case, prior=choose(conn, case))


def choose(conn: Connection, case: Case) -> Prior | None:
    """The prior of a case, with its impression when its report is in the journal; None when there is no relevant one.

    A dictated comparison always counts more, so that none is looked for beside it.
    """
    if case.report.comparison or not case.study.body_part or (today := _day_of(case)) is None:
        return None
    own = {case.study.uid, *(t.study_uid for t in case.told)}
    known = _reported(conn, case)
    candidates = [*known, *(p for p in case.priors if not any(_is_same(p, k) for k in known))]
    relevant = [
        p
        for p in candidates
        if p.on is not None
        and p.on < today
        and p.study_uid not in own - {""}
        and split_parts(p.body_part) & split_parts(case.study.body_part)
    ]
    # The study's UID decides between two of one day: the same prior, whoever told of it first.
    return max(relevant, key=lambda p: (p.modality == case.study.modality, p.on, p.study_uid), default=None)


def _reported(conn: Connection, case: Case) -> list[Prior]:
    """The patient's earlier studies whose signed report is in the journal. Another issuer's number is another's."""
    patient = case.patient
    found = cases.signed_of_patient(conn, patient.id, patient.issuer, at_most=MAX_LOOKED_AT) if patient.id else []
    return [_read_prior(c) for c in found if c.key != case.key]


def _read_prior(case: Case) -> Prior:
    return Prior(
        study_uid=case.study.uid,
        accession=case.key.accession,
        issuer=case.key.issuer,
        on=_day_of(case),
        modality=case.study.modality,
        body_part=case.study.body_part,
        description=case.study.description,
        impression=" ".join(case.report.impression.split())[:MAX_IMPRESSION_CHARS],
    )


def _is_same(one: Prior, other: Prior) -> bool:
    if one.study_uid and other.study_uid:
        return one.study_uid == other.study_uid
    return bool(one.accession) and (one.accession, one.issuer) == (other.accession, other.issuer)


def _day_of(case: Case) -> date | None:
    at = case.study.at or case.dictated_at or case.signed_at
    return at.date() if at else None
