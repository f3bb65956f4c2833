"""Facts about an accession applied to its `Case`, and what follows from the change. Pure: no clock, no store.

Where the RIS and the imaging side disagree, what was done is DICOM's word, and who it was done to is the RIS's. What
the RIS told is kept as it told it, so that the order of arrival makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from radbridge.case import (
    Case,
    CaseState,
    Code,
    Order,
    Patient,
    Radiologist,
    Record,
    ReportText,
    Sex,
    Study,
    fill,
)
from radbridge.contradictions import find_grave
from radbridge.events import (
    CaseEvent,
    MeasurementsArrived,
    OrderCancelled,
    OrderPlaced,
    PatientsMerged,
    PatientUpdated,
    PriorsFound,
    ReportDictated,
    ReportOpened,
    ReportSigned,
    ReportWithdrawn,
    StudyObserved,
)
from radbridge.imaging import MAX_PRIORS, PREFERRED, Told, fold_id, join_parts, join_sides, measure, observe


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


CONTRADICTED = "order and images contradict"

_CLOSED_BY = {
    CaseState.SIGNED: "report signed",
    CaseState.CANCELLED: "order cancelled",
    CaseState.WITHDRAWN: "report withdrawn",
}


_HURRIED = frozenset("SA")
"""Table 0027: stat, and as soon as possible."""
_EMERGENCY = "E"
"""Table 0004."""


def is_urgent(case: Case) -> bool:
    """Whether somebody waits for the report: by the order's priority or the patient's class."""
    return case.order.priority in _HURRIED or case.patient.patient_class == _EMERGENCY


def apply(case: Case | None, fact: CaseEvent) -> Case:
    """The case after the fact; a case that was unknown begins with whatever comes first."""
    known = case or Case(key=fact.key)
    heard = _hear(known.by_ris, fact)
    if isinstance(fact, StudyObserved | MeasurementsArrived | PriorsFound):
        return _settle(_see(known, fact), heard)
    return _settle(_advance(known, fact), heard)


def _hear(known: Record, fact: CaseEvent) -> Record:
    """What the RIS has told so far. Of one patient nothing is taken for another's."""
    told = Record(patient=fact.patient, order=fact.order, study=fact.study)
    is_another = _is_another(known.patient, told.patient)
    if isinstance(fact, OrderPlaced) and fact.hearsay:
        return known if is_another else _fill(told, known)
    heard = _fill(known, told)
    return replace(heard, patient=told.patient) if is_another else heard


def _fill(known: Record, told: Record) -> Record:
    return Record(
        patient=fill(known.patient, told.patient),
        order=fill(known.order, told.order),
        study=fill(known.study, told.study),
    )


def _is_another(known: Patient, told: Patient) -> bool:
    return bool(known.id and told.id) and fold_id(told.id) not in map(fold_id, (known.id, *known.other_ids))


def _see(known: Case, fact: StudyObserved | MeasurementsArrived | PriorsFound) -> Case:
    """What the imaging side tells. It changes nothing of the report's course."""
    match fact:
        case StudyObserved():
            return replace(known, told=observe(known.told, fact.told))
        case MeasurementsArrived():
            measured = measure(known.measured, fact.measured, sop_uid=fact.sop_uid, replaces=fact.replaces)
            return replace(known, measured=measured)
        case PriorsFound():
            if fact.patient_id != known.patient.id:
                return known
            newest = sorted(fact.priors, key=lambda p: p.on.isoformat() if p.on else "", reverse=True)
            return replace(known, priors=tuple(newest[:MAX_PRIORS]))


def _advance(known: Case, fact: CaseEvent) -> Case:
    """Where the report and the order stand."""
    match fact:
        case OrderPlaced():
            is_anew = known.state is CaseState.CANCELLED and not fact.hearsay
            return replace(known, state=CaseState.OPEN) if is_anew else known
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


def _settle(case: Case, heard: Record) -> Case:
    """The case with what the RIS told, and what the imaging side adds to it and knows better."""
    settled = replace(case, patient=heard.patient, order=heard.order, study=heard.study)
    if case.told:
        first = sorted(case.told, key=lambda t: (t.was_given_up, not t.modality, t.at or _NEVER, t.study_uid))
        settled = replace(
            case,
            ris=heard,
            patient=_complete_patient(heard.patient, first),
            order=_complete_order(heard.order, first),
            study=_settle_study(heard.study, first),
        )
    is_theirs = settled.patient.id == case.patient.id
    return settled if is_theirs else replace(settled, prior=None, priors=())


_NEVER = datetime.max.replace(tzinfo=UTC)


def _complete_patient(patient: Patient, first: Sequence[Told]) -> Patient:
    who = next((t for t in first if t.patient_id), None)
    if not patient.id and who:
        patient = replace(patient, id=who.patient_id, issuer=who.patient_issuer)
    return replace(
        patient,
        sex=patient.sex or Sex(next((t.sex for t in first if t.sex), "")),
        birth_date=patient.birth_date or next((t.birth_date for t in first if t.birth_date), None),
    )


def _complete_order(order: Order, first: Sequence[Told]) -> Order:
    asked = next((t for t in first if t.procedure_value or t.procedure_display), None)
    if order.procedure == Code() and asked:
        code = Code(value=asked.procedure_value, system=asked.procedure_system, display=asked.procedure_display)
        order = replace(order, procedure=code)
    return replace(order, reason=order.reason or next((t.reason for t in first if t.reason), ""))


def _settle_study(ordered: Study, first: Sequence[Told]) -> Study:
    """The study that was made first gives its name to them all; sides and body parts are those of every one."""
    seen = Study(
        modality=first[0].modality,
        body_part=join_parts([t.body_part for t in first]),
        laterality=join_sides([t.laterality for t in first]),
        contrast=next((t.contrast for t in first if t.contrast), ""),
        description=next((t.description for t in first if t.description), ""),
        uid=first[0].study_uid,
        at=first[0].at,
    )
    chosen: dict[str, Any] = {}
    for name in (f.name for f in fields(Study)):
        told, asked = getattr(seen, name), getattr(ordered, name)
        chosen[name] = (told or asked) if name in PREFERRED else (asked or told)
    return Study(**chosen)


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
    heard = case.by_ris
    patient = fill(heard.patient, fact.patient)
    if isinstance(fact, PatientsMerged):
        former = tuple(dict.fromkeys((*patient.other_ids, fact.prior_id)))
        patient = replace(patient, other_ids=former)
    return _settle(case, replace(heard, patient=patient))


def weigh(before: Case | None, after: Case, *, merged: bool = False) -> Consequences:
    """What follows when `before` has become `after`."""
    return Consequences(
        withdraw=_why_withdraw(before, after, merged=merged),
        request=_is_draftable(after)
        and (before is None or not _is_draftable(before) or _basis(before) != _basis(after)),
        signed=after.state is CaseState.SIGNED and (before is None or before.signed_at != after.signed_at),
        drop_examples=_why_drop(before, after, merged=merged),
    )


def _why_drop(before: Case | None, after: Case, *, merged: bool) -> str:
    if after.state is CaseState.WITHDRAWN:
        return "wrong patient or deleted"
    if merged:
        return "patients merged"
    return CONTRADICTED if find_grave(after) else ""


def _why_withdraw(before: Case | None, after: Case, *, merged: bool) -> str:
    if before is None:
        return ""
    if after.state is not before.state and after.state in _CLOSED_BY:
        return _CLOSED_BY[after.state]
    was_grave, is_grave = find_grave(before), find_grave(after)
    reasons = (
        ("patients merged", merged),
        ("findings changed", before.findings_digest != after.findings_digest),
        ("another signer", before.signer.id != after.signer.id),
        ("another patient", _identity(before.patient) != _identity(after.patient)),
        (CONTRADICTED, bool(is_grave - was_grave)),
        ("order and images agree", bool(was_grave - is_grave)),
        ("images of another side", before.side != after.side),
        ("measurements changed", _comparable(before) != _comparable(after)),
    )
    return next((why for why, holds in reasons if holds), "")


def _is_draftable(case: Case) -> bool:
    return case.state is CaseState.OPEN and bool(case.findings_digest)


def _basis(case: Case) -> tuple[object, ...]:
    """What a draft depends on so much that another value needs another draft."""
    own = case.findings_digest, case.signer.id, *_identity(case.patient)
    return *own, find_grave(case), case.side, _comparable(case)


def _comparable(case: Case) -> frozenset[str]:
    """What machines say that the dictated text is held to."""
    return frozenset(m.line for m in case.measured if m.is_comparable)


def _identity(patient: Patient) -> tuple[str, str]:
    return patient.id, patient.sex
