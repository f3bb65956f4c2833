"""What both documents that we write share: patient, study, series, equipment and the request (PS3.3, annex C)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final

from pydicom.dataset import Dataset

from radbridge import __version__
from radbridge.case import Case, Code
from radbridge_adapters.dicom.encoding.values import is_uid
from radbridge_adapters.dicom.writing.content import DEVICE_NAME, coded, put, referenced
from radbridge_adapters.dicom.writing.uids import study_uid
from radbridge_adapters.dicom.writing.wording import SHORT, identifier, line, person_name


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """An object of the study that we know of."""

    sop_class: str
    sop_instance: str
    series: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """The series and the instance that a document is."""

    modality: str
    uid: str
    number: int
    description: str
    sop_class: str
    sop_instance: str = field(repr=False)


SCHEMES: Final = {
    "http://loinc.org": "LN",
    "http://snomed.info/sct": "SCT",
    "http://radlex.org": "RADLEX",
    "http://www.ama-assn.org/go/cpt": "C4",
    "L": "99LOCAL",
}
"""What HL7 v2 (table 0396) and FHIR call a coding system -> what DICOM does (PS3.16, 8); a 99 marks private ones."""
_KNOWN_SCHEMES = frozenset({"DCM", "LN", "SCT", "SRT", "RADLEX", "C4", "I10", "I10P", "I9C", "HCPT"})
_SEXES = frozenset({"M", "F", "O"})


def put_patient(document: Dataset, case: Case) -> None:
    """Patient module; what nobody told stays empty (type 2)."""
    patient = case.patient
    document.PatientName = person_name(patient.name)
    document.PatientID = identifier(patient.id)
    if document.PatientID and (issuer := identifier(patient.issuer)):
        document.IssuerOfPatientID = issuer
    document.PatientBirthDate = f"{patient.birth_date:%Y%m%d}" if patient.birth_date else ""
    document.PatientSex = patient.sex.value if patient.sex.value in _SEXES else ""


def put_study(document: Dataset, case: Case, offset: tzinfo) -> None:
    """General Study module."""
    at = case.study.at.astimezone(offset) if case.study.at else None
    put(document, "StudyInstanceUID", find_study_uid(case))
    document.StudyDate = f"{at:%Y%m%d}" if at else ""
    document.StudyTime = f"{at:%H%M%S}" if at else ""
    document.ReferringPhysicianName = ""
    document.StudyID = ""
    document.AccessionNumber = identifier(case.key.accession, SHORT)
    if issuers := _issuer(case):
        document.IssuerOfAccessionNumberSequence = issuers


def put_series(document: Dataset, series: Series) -> None:
    """SR Document Series or Key Object Document Series, and SOP Common."""
    document.Modality = series.modality
    document.SeriesInstanceUID = series.uid
    document.SeriesNumber = series.number
    document.SeriesDescription = series.description
    document.ReferencedPerformedProcedureStepSequence = []
    document.InstanceNumber = 1
    document.SOPClassUID = series.sop_class
    document.SOPInstanceUID = series.sop_instance


def put_equipment(document: Dataset) -> None:
    """General Equipment module."""
    document.Manufacturer = DEVICE_NAME
    document.ManufacturerModelName = DEVICE_NAME
    document.SoftwareVersions = __version__


def put_times(document: Dataset, at: datetime, offset: tzinfo) -> None:
    """When the document and its content were made."""
    local = at.astimezone(offset)
    document.TimezoneOffsetFromUTC = f"{local:%z}"[:5]
    document.InstanceCreationDate = document.ContentDate = f"{local:%Y%m%d}"
    document.InstanceCreationTime = document.ContentTime = f"{local:%H%M%S}"


def request_of(case: Case) -> Dataset:
    """The requested procedure that the document is about."""
    order = case.order
    item = Dataset()
    put(item, "StudyInstanceUID", find_study_uid(case))
    item.ReferencedStudySequence = []
    item.AccessionNumber = identifier(case.key.accession, SHORT)
    if issuers := _issuer(case):
        item.IssuerOfAccessionNumberSequence = issuers
    item.PlacerOrderNumberImagingServiceRequest = identifier(order.placer)
    item.FillerOrderNumberImagingServiceRequest = identifier(order.filler)
    item.RequestedProcedureID = ""
    item.RequestedProcedureDescription = line(order.procedure.display)
    item.RequestedProcedureCodeSequence = _procedure(order.procedure)
    return item


def evidence(study: str, instances: Sequence[Instance]) -> Dataset:
    """One study of a Hierarchical SOP Instance Reference Macro (C.17.2.1)."""
    by_series: dict[str, list[Dataset]] = {}
    for one in instances:
        by_series.setdefault(one.series, []).append(referenced(one.sop_class, one.sop_instance))
    item = Dataset()
    put(item, "StudyInstanceUID", study)
    item.ReferencedSeriesSequence = []
    for uid, references in by_series.items():
        series = Dataset()
        put(series, "SeriesInstanceUID", uid)
        series.ReferencedSOPSequence = references
        item.ReferencedSeriesSequence.append(series)
    return item


def find_study_uid(case: Case) -> str:
    """The study's own UID; one made from the accession while nobody has told it."""
    return case.study.uid if is_uid(case.study.uid) else study_uid(case.key)


def offset_of(case: Case, zone: tzinfo, at: datetime) -> tzinfo:
    """The one offset of a document's times: the site's at the study, so that StudyDate is that of its images."""
    return timezone((case.study.at or at).astimezone(zone).utcoffset() or timedelta())


def _issuer(case: Case) -> list[Dataset]:
    issuer = line(case.key.issuer)
    if not issuer:
        return []
    item = Dataset()
    item.LocalNamespaceEntityID = issuer
    return [item]


def _procedure(code: Code) -> list[Dataset]:
    """The procedure's code; none when it or its system can't be written whole."""
    system = SCHEMES.get(code.system, code.system)
    if system and system not in _KNOWN_SCHEMES and not system.startswith("99"):
        system = f"99{system}"
    value, scheme = identifier(code.value, SHORT), identifier(system, SHORT)
    return coded(Code(value=value, system=scheme, display=code.display)) if value and scheme else []
