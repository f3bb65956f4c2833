"""Facts about an accession applied to its `Case`, and what follows from the change. Pure: no clock, no store."""

from __future__ import annotations

from dataclasses import dataclass, replace

from radbridge.case import Case, CaseState, Patient, Radiologist, ReportText, fill
from radbridge.events import (
    CaseEvent,
    OrderCancelled,
    OrderPlaced,
    PatientsMerged,
    PatientUpdated,
    ReportDictated,
    ReportOpened,
    ReportSigned,
    ReportWithdrawn,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Consequences:
    """What has to happen because a case changed."""

    withdraw: str = ""
    """Why the standing draft has to go (rule 3); empty: it may stay."""
    request: bool = False
    """Ask for a draft of the present text."""
    signed: bool = False
    """Pair the signed report with the draft it followed."""
    drop_examples: str = ""
    """Why what was learned from this case has to be forgotten; empty: it may stay."""


_CLOSED_BY = {
    CaseState.SIGNED: "report signed",
    CaseState.CANCELLED: "order cancelled",
    CaseState.WITHDRAWN: "report withdrawn",
}


def apply(case: Case | None, fact: CaseEvent) -> Case:
    """The case after the fact; a case that was unknown begins with whatever comes first."""
    known = case or Case(key=fact.key)
    known = replace(
        known,
        patient=fill(known.patient, fact.patient),
        order=fill(known.order, fact.order),
        study=fill(known.study, fact.study),
    )
    match fact:
        case OrderPlaced():
            return replace(known, state=CaseState.OPEN) if known.state is CaseState.CANCELLED else known
        case OrderCancelled():
            return known if known.state is CaseState.SIGNED else replace(known, state=CaseState.CANCELLED)
        case ReportOpened():
            is_open = known.state is CaseState.OPEN
            return replace(known, signer=_sign(known.signer, fact.signer)) if is_open else known
        case ReportDictated():
            return _dictate(known, fact)
        case ReportSigned():
            return replace(
                known,
                report=fill(known.report, fact.report),
                signer=_sign(known.signer, fact.signer),
                state=CaseState.SIGNED,
                signed_at=fact.at,
            )
        case ReportWithdrawn():
            return replace(known, report=ReportText(), state=CaseState.WITHDRAWN, signed_at=None)
    raise TypeError(type(fact).__name__)


def _dictate(known: Case, fact: ReportDictated) -> Case:
    """A signed report stays as signed: an addendum being dictated asks for no draft. A withdrawn one begins anew."""
    if known.state is CaseState.SIGNED:
        return known
    state = CaseState.OPEN if known.state is CaseState.WITHDRAWN else known.state
    whole = bool(fact.report.findings)  # a save is a snapshot: a section it no longer has is gone
    return replace(
        known,
        report=fact.report if whole else fill(known.report, fact.report),
        signer=_sign(known.signer, fact.signer),
        state=state,
        dictated_at=fact.at,
    )


def _sign(known: Radiologist, told: Radiologist) -> Radiologist:
    """Another id is another person: the name that was known isn't theirs."""
    return told if told.id and told.id != known.id else fill(known, told)


def update_patient(case: Case, fact: PatientUpdated | PatientsMerged) -> Case:
    """The case with the demographics, or the surviving identity, of its patient."""
    patient = fill(case.patient, fact.patient)
    if isinstance(fact, PatientsMerged):
        former = tuple(dict.fromkeys((*patient.other_ids, fact.prior_id)))
        patient = replace(patient, other_ids=former)
    return replace(case, patient=patient)


def weigh(before: Case | None, after: Case, *, merged: bool = False) -> Consequences:
    """What follows when `before` has become `after`."""
    wrong = after.state is CaseState.WITHDRAWN
    return Consequences(
        withdraw=_why_withdraw(before, after, merged=merged),
        request=_is_draftable(after)
        and (before is None or not _is_draftable(before) or _basis(before) != _basis(after)),
        signed=after.state is CaseState.SIGNED and (before is None or before.signed_at != after.signed_at),
        drop_examples="wrong patient or deleted" if wrong else "patients merged" if merged else "",
    )


def _why_withdraw(before: Case | None, after: Case, *, merged: bool) -> str:
    if before is None:
        return ""
    if after.state is not before.state and after.state in _CLOSED_BY:
        return _CLOSED_BY[after.state]
    reasons = (
        ("patients merged", merged),
        ("findings changed", before.findings_digest != after.findings_digest),
        ("another signer", before.signer.id != after.signer.id),
        ("another patient", _identity(before.patient) != _identity(after.patient)),
    )
    return next((why for why, holds in reasons if holds), "")


def _is_draftable(case: Case) -> bool:
    return case.state is CaseState.OPEN and bool(case.findings_digest)


def _basis(case: Case) -> tuple[str, ...]:
    """What a draft depends on so much that another value needs another draft."""
    return case.findings_digest, case.signer.id, *_identity(case.patient)


def _identity(patient: Patient) -> tuple[str, str]:
    return patient.id, patient.sex
