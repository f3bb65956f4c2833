"""One `Case` per accession: order, patient, study, report and designated signer, as frozen values.

Fields that hold PHI have `repr=False`, so that a value in a log line or a traceback shows none.
An empty string means "never told". Times are timezone-aware.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import AwareDatetime

from radbridge.imaging import Measured, Prior, Told, join_sides


class Sex(StrEnum):
    """Administrative sex, HL7 table 0001 reduced to what changes a report."""

    FEMALE = "F"
    MALE = "M"
    OTHER = "O"
    UNKNOWN = ""


class CaseState(StrEnum):
    """Where a case stands: a draft is only ever made for one that is `OPEN`."""

    OPEN = "open"
    SIGNED = "signed"
    CANCELLED = "cancelled"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """A coded concept: value, coding system and display text (HL7 CE/CWE 1, 3 and 2)."""

    value: str = ""
    system: str = ""
    display: str = ""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class CaseKey:
    """Accession numbers repeat across sites, so an accession counts only with its issuer (DICOM (0008,0051))."""

    accession: str = field(repr=False)
    issuer: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """Who is examined (PID, PV1-2)."""

    id: str = field(default="", repr=False)
    issuer: str = ""
    name: str = field(default="", repr=False)
    birth_date: date | None = field(default=None, repr=False)
    sex: Sex = Sex.UNKNOWN
    patient_class: str = ""
    """HL7 table 0004: E emergency, I inpatient, O outpatient."""
    phones: tuple[str, ...] = field(default=(), repr=False)
    address: str = field(default="", repr=False)
    other_ids: tuple[str, ...] = field(default=(), repr=False)
    """Account, visit and national numbers: kept to scrub them from text, never for anything else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What was asked for (ORC, OBR)."""

    placer: str = field(default="", repr=False)
    filler: str = field(default="", repr=False)
    procedure: Code = Code()
    reason: str = field(default="", repr=False)
    """Reason for study (OBR-31)."""
    clinical_information: str = field(default="", repr=False)
    """Relevant clinical information (OBR-13)."""
    priority: str = ""
    """HL7 table 0027: S stat, A as soon as possible, R routine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What was examined."""

    modality: str = ""
    """DICOM modality: CT, MR, US, CR, DX, MG, NM, PT, XA, RF."""
    body_part: str = ""
    laterality: str = ""
    """`L`, `R` or `B`, as DICOM (0020,0060) and table 0163 agree on."""
    contrast: str = ""
    description: str = ""
    uid: str = ""
    at: AwareDatetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportText:
    """A report by sections. Text is plain; lines end in a line feed."""

    findings: str = field(default="", repr=False)
    impression: str = field(default="", repr=False)
    comparison: str = field(default="", repr=False)
    technique: str = field(default="", repr=False)
    indication: str = field(default="", repr=False)
    recommendation: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Radiologist:
    """The designated signer: the LoRA follows whoever signs, not whoever dictated."""

    id: str = ""
    name: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What the RIS told, as it told it."""

    patient: Patient = Patient()
    order: Order = Order()
    study: Study = Study()


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Everything known about one accession."""

    key: CaseKey
    patient: Patient = Patient()
    order: Order = Order()
    study: Study = Study()
    report: ReportText = ReportText()
    signer: Radiologist = Radiologist()
    state: CaseState = CaseState.OPEN
    dictated_at: AwareDatetime | None = None
    signed_at: AwareDatetime | None = None
    ris: Record | None = None
    """What the RIS told, once the imaging side told something too; None: patient, order and study are its word."""
    told: tuple[Told, ...] = ()
    """What the imaging side told of each study, in the order of their UIDs."""
    measured: tuple[Measured, ...] = ()
    """What machines measured. It is shown apart, and never part of the findings, their digest or the prompt."""
    priors: tuple[Prior, ...] = ()
    """Earlier studies that an archive told of."""
    prior: Prior | None = None
    """The earlier study that the last draft was compared with."""

    @property
    def by_ris(self) -> Record:
        """What the RIS told, whoever else told something."""
        return self.ris or Record(patient=self.patient, order=self.order, study=self.study)

    @property
    def side(self) -> str:
        """`L` or `R` where that is the only side which was ordered or examined, else empty."""
        side = join_sides((self.study.laterality, *(t.laterality for t in self.told)))
        return side if side in ("L", "R") else ""

    @property
    def compared_with(self) -> str:
        """What was dictated as comparison, else the earlier study by name: a draft may be held to it."""
        return self.report.comparison or (f"{self.prior.name}." if self.prior else "")

    @property
    def concluded_before(self) -> str:
        """The impression of the earlier report: a draft may be made beside it, and is never held to it."""
        return self.prior.impression if self.prior and not self.report.comparison else ""

    @property
    def findings_digest(self) -> str:
        """The digest a draft carries of the findings it was made from; empty when nothing is dictated."""
        return digest_findings(self.report.findings)

    @property
    def indication(self) -> str:
        """Clinical information in one text: what the report says, else what the order says."""
        parts = (self.report.indication, self.order.reason, self.order.clinical_information)
        seen: list[str] = []
        for part in (" ".join(p.split()) for p in parts):
            if part and not any(part.lower() in s.lower() for s in seen):
                seen.append(part)
        return " ".join(s if s[-1] in ".?!" else s + "." for s in seen)

    @property
    def age(self) -> int | None:
        """Whole years at the study, else at the dictation; None when unknown."""
        at = self.study.at or self.dictated_at
        born = self.patient.birth_date
        if born is None:
            return next((t.age for t in self.told if t.age is not None), None)
        if at is None:
            return None
        years = at.year - born.year - ((at.month, at.day) < (born.month, born.day))
        return years if 0 <= years <= 130 else None


def digest_findings(findings: str) -> str:
    """Sixteen hex digits of SHA-256 over the findings with white space folded.

    A save that only re-wraps lines is no change of findings. Case is kept: "DR" and "dr" differ.
    """
    folded = re.sub(r"\s+", " ", findings).strip()
    return hashlib.sha256(folded.encode()).hexdigest()[:16] if folded else ""


V = TypeVar("V", Patient, Order, Study, ReportText, Radiologist)


def fill(known: V, told: V) -> V:
    """`known` with every field that `told` has a value for."""
    empty: dict[str, Any] = {f.name: f.default for f in fields(type(told))}
    new = {name: value for name in empty if (value := getattr(told, name)) != empty[name]}
    return replace(known, **new) if new else known


def aware(moment: datetime) -> datetime:
    """`moment` itself; a naive one is a programming error."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment
