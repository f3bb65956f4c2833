"""What a wire tells the core: past-tense facts about one accession or one patient.

A wire's `translate` turns the raw bytes of one journaled message into these. `radbridge.assemble` applies them to a
`Case`. Values left at their defaults mean "the message didn't say".
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import AwareDatetime

from radbridge.case import CaseKey, Order, Patient, Radiologist, ReportText, Study
from radbridge.imaging import Measured, Prior, Told


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseEvent:
    """A fact about one accession."""

    key: CaseKey
    at: AwareDatetime
    patient: Patient = Patient()
    order: Order = Order()
    study: Study = Study()


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderPlaced(CaseEvent):
    """An order was placed or changed (ORM^O01, OMI^O23)."""

    hearsay: bool = False
    """Not told but asked for, of a worklist: it fills what the RIS left out of this very patient, and no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderCancelled(CaseEvent):
    """An order was cancelled or discontinued (ORC-1 CA, DC, OC)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOpened(CaseEvent):
    """Somebody has a report before them and will soon dictate it (FHIRcast `DiagnosticReport-open`)."""

    signer: Radiologist = Radiologist()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportDictated(CaseEvent):
    """A report exists and is not signed: the text so far, and who is to sign it."""

    report: ReportText
    signer: Radiologist = Radiologist()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportSigned(CaseEvent):
    """A report was signed, or a signed one corrected."""

    report: ReportText = ReportText()
    """Empty when the message says "final, text not resent" (OBX-11 `U`): the earlier text stands."""
    signer: Radiologist = Radiologist()
    corrected: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportWithdrawn(CaseEvent):
    """A report or its result doesn't hold (OBX-11 `W`, `D`, `X`; TXA-19 `CA`, `OB`)."""

    reason: str
    """`wrong_patient`, `deleted`, `not_obtainable` or `document_cancelled`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyObserved(CaseEvent):
    """The imaging side told of a study: its images, a procedure step, the worklist.

    All that it says stands in `told`, and nothing in `patient`, `order` or `study`: those are the RIS's word.
    """

    told: Told


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasurementsArrived(CaseEvent):
    """A machine measured or found something (a structured report)."""

    measured: tuple[Measured, ...]
    sop_uid: str
    """Of the object: what it held before is replaced."""
    replaces: tuple[str, ...] = ()
    """The objects that it is a later version of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PriorsFound(CaseEvent):
    """An archive told of earlier studies of the patient."""

    patient_id: str = field(repr=False)
    """Whose they are: by now the case may be another patient's."""
    priors: tuple[Prior, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientUpdated:
    """Demographics changed (ADT^A01, A04, A08)."""

    patient: Patient
    at: AwareDatetime


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientsMerged:
    """Two records are one patient (ADT^A40): the prior identifier is used no more."""

    patient: Patient
    prior_id: str = field(repr=False)
    prior_issuer: str = ""
    at: AwareDatetime


Event = (
    OrderPlaced
    | OrderCancelled
    | ReportOpened
    | ReportDictated
    | ReportSigned
    | ReportWithdrawn
    | StudyObserved
    | MeasurementsArrived
    | PriorsFound
    | PatientUpdated
    | PatientsMerged
)
