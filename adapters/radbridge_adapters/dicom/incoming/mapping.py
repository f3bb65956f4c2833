"""Which DICOM attributes tell what of a case: the one table, and how each is read.

`docs/reference/dicom.md` shows the same table. Who wins where DICOM and the RIS disagree is `radbridge.assemble`'s to
do; `wins` says it here, so that table and rule stand side by side.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, tzinfo
from types import MappingProxyType
from typing import Literal

from pydicom.dataset import Dataset

from radbridge.case import CaseKey, Code
from radbridge.config import Dicom
from radbridge.imaging import Told, join_sides
from radbridge.journal.types import is_too_long
from radbridge.procedure import read_body_parts, read_contrast, read_modality
from radbridge_adapters.dicom.encoding.values import Elements, tag_of
from radbridge_adapters.dicom.incoming.sr_codes import word_of

Field = Literal[
    "key",
    "study_uid",
    "by",
    "patient_id",
    "patient_issuer",
    "sex",
    "birth_date",
    "age",
    "modality",
    "body_part",
    "laterality",
    "contrast",
    "description",
    "procedure",
    "reason",
    "at",
    "step",
]
"""A field of `Told`, its three `procedure_` ones as one; or the key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribute:
    """Where one field is read from: top-level attributes, the first that has a value counts."""

    field: Field
    keywords: tuple[str, ...]
    wins: Literal["RIS", "DICOM", ""]
    """Who is believed where both tell; empty where only DICOM tells."""
    note: str
    """How it is read, for the conformance statement."""


MAPPED = (
    Attribute(
        field="key",
        keywords=("AccessionNumber", "IssuerOfAccessionNumberSequence", "RequestAttributesSequence"),
        wins="",
        note="an issuer by the site's `dicom.issuers`; a request's accession where the study names none and the "
        "requests name one only",
    ),
    Attribute(field="study_uid", keywords=("StudyInstanceUID",), wins="DICOM", note="one entry for each study"),
    Attribute(
        field="by",
        keywords=("SeriesInstanceUID",),
        wins="",
        note="who says it: what each series says of the patient is kept, until that series says another thing",
    ),
    Attribute(field="patient_id", keywords=("PatientID",), wins="RIS", note="another one is a contradiction"),
    Attribute(
        field="patient_issuer",
        keywords=("IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence"),
        wins="RIS",
        note="the name, else the universal entity id, by the site's `dicom.issuers`",
    ),
    Attribute(field="sex", keywords=("PatientSex",), wins="RIS", note="M, F, O; another one is a contradiction"),
    Attribute(field="birth_date", keywords=("PatientBirthDate",), wins="RIS", note="another one is a contradiction"),
    Attribute(field="age", keywords=("PatientAge",), wins="RIS", note="whole years; the RIS's is the birth date's"),
    Attribute(
        field="modality",
        keywords=("Modality", "ModalitiesInStudy", "StudyDescription"),
        wins="DICOM",
        note="an image's; else what the description says",
    ),
    Attribute(
        field="body_part",
        keywords=("AnatomicRegionSequence", "SharedFunctionalGroupsSequence", "BodyPartExamined", "StudyDescription"),
        wins="RIS",
        note="the region's code by a table, else its meaning; the words of PS3.16 Annex L; else the description",
    ),
    Attribute(
        field="laterality",
        keywords=("ImageLaterality", "Laterality", "SharedFunctionalGroupsSequence", "AnatomicRegionSequence"),
        wins="RIS",
        note="L, R, B of the image, the series, the frames, the region's modifier; joined over a study's series; "
        "another one is a contradiction",
    ),
    Attribute(
        field="contrast",
        keywords=("ContrastBolusAgent", "ContrastBolusAgentSequence", "StudyDescription"),
        wins="DICOM",
        note="`with` when an agent is named; else what the description says",
    ),
    Attribute(
        field="description",
        keywords=(
            "StudyDescription",
            "RequestedProcedureDescription",
            "PerformedProcedureStepDescription",
            "ScheduledProcedureStepDescription",
        ),
        wins="RIS",
        note="as it is",
    ),
    Attribute(
        field="procedure",
        keywords=("ProcedureCodeSequence", "RequestedProcedureCodeSequence", "RequestAttributesSequence"),
        wins="RIS",
        note="the first code",
    ),
    Attribute(
        field="reason",
        keywords=(
            "ReasonForTheRequestedProcedure",
            "ReasonForRequestedProcedureCodeSequence",
            "RequestAttributesSequence",
            "ReasonForStudy",
        ),
        wins="RIS",
        note="text, else the code's meaning",
    ),
    Attribute(
        field="at",
        keywords=(
            "StudyDate",
            "StudyTime",
            "PerformedProcedureStepStartDate",
            "PerformedProcedureStepStartTime",
            "TimezoneOffsetFromUTC",
        ),
        wins="DICOM",
        note="in the site's `dicom.timezone` where no offset is told",
    ),
    Attribute(field="step", keywords=("PerformedProcedureStepStatus",), wins="", note="of MPPS"),
)

_KEYWORDS = {attribute.field: attribute.keywords for attribute in MAPPED}

WANTED_TAGS = frozenset(tag_of(keyword) for attribute in MAPPED for keyword in attribute.keywords) | {
    tag_of("SpecificCharacterSet")
}
"""What is kept of a header whatever its length, and what tells that two objects of a study say the same."""

MAX_ID_CHARS, MAX_DESCRIPTION_CHARS, MAX_REASON_CHARS = 64, 256, 1000
SEXES = frozenset("MFO")
SIDES = {"L": "L", "R": "R", "B": "B", "LEFT": "L", "RIGHT": "R", "BOTH": "B", "BILATERAL": "B"}
COMPOUND_PARTS = {
    "ABDOMENPELVIS": "ABDOMEN, PELVIS",
    "CHESTABDOMEN": "CHEST, ABDOMEN",
    "CHESTABDPELVIS": "CHEST, ABDOMEN, PELVIS",
    "HEADNECK": "HEAD, NECK",
    "NECKCHEST": "CHEST, NECK",
    "NECKCHESTABDOMEN": "CHEST, ABDOMEN, NECK",
    "NECKCHESTABDPELV": "CHEST, ABDOMEN, PELVIS, NECK",
    "CTSPINE": "CSPINE, TSPINE",
    "TLSPINE": "TSPINE, LSPINE",
    "LUNG": "CHEST",
}
"""BodyPartExamined of several parts in one word (PS3.16 Annex L), as `radbridge.procedure` orders them."""
_NO_AGENT = frozenset(("", "NO", "NONE", "N", "NIL", "WITHOUT", "NO CONTRAST", "NONE GIVEN", "-", "UNKNOWN"))
_NO_ISSUERS: Mapping[str, str] = MappingProxyType({})
_AGE = re.compile(r"(\d{1,3})([YMWD])")
_PER_YEAR = {"Y": 1, "M": 12, "W": 52, "D": 365}


def read_told(
    dataset: Dataset,
    source: str,
    *,
    zone: tzinfo = UTC,
    default_charset: str = "utf-8",
    issuers: Mapping[str, str] = _NO_ISSUERS,
) -> Told:
    """What a data set tells of its study. Never fails: what can't be read isn't told."""
    return tell(Elements.of(dataset, default_charset), source, zone, issuers)


def tell(told: Elements, source: str, zone: tzinfo, issuers: Mapping[str, str] = _NO_ISSUERS) -> Told:
    """`read_told` of elements that may lie over others."""
    request = told.first("RequestAttributesSequence")
    description = told.text(*_KEYWORDS["description"])[:MAX_DESCRIPTION_CHARS]
    procedure = _procedure(told, request)
    names = " ".join(part for part in (description, procedure.display) if part)
    return Told(
        study_uid=told.text("StudyInstanceUID"),
        source=source,
        by=told.text("SeriesInstanceUID") or source,
        patient_id=told.text("PatientID")[:MAX_ID_CHARS],
        patient_issuer=_patient_issuer(told, issuers),
        sex=_sex(told),
        birth_date=_birth_date(told),
        age=_age(told.text("PatientAge")),
        modality=_modality(told, names),
        body_part=_body_part(told, names),
        laterality=_laterality(told),
        contrast=_contrast(told, names),
        description=description,
        procedure_value=procedure.value,
        procedure_system=procedure.system,
        procedure_display=procedure.display,
        reason=_reason(told, request)[:MAX_REASON_CHARS],
        at=_at(told, zone),
        step=told.text("PerformedProcedureStepStatus").upper(),
    )


def read_key(dataset: Dataset, settings: Dicom) -> CaseKey | None:
    """The accession that a data set is about, with its issuer; None when it names none, or several."""
    return find_key(Elements.of(dataset, settings.default_charset), settings)


def find_key(told: Elements, settings: Dicom) -> CaseKey | None:
    """`read_key` of elements that may lie over others. Nothing is the key of a case that no index would take."""
    if accession := _accession(told):
        return _key(accession, told, settings)
    requests = [request for request in told.items("RequestAttributesSequence") if _accession(request)]
    named = {_accession(request) for request in requests}
    return _key(named.pop(), requests[0], settings) if len(named) == 1 else None


def context_of(told: Told, key: CaseKey | None) -> str:
    """Sixteen hex digits over what is told but for its time: equal where an object says nothing new of its study."""
    values = [str(getattr(told, f.name)) for f in fields(Told) if f.name != "at"]
    values += [key.accession, key.issuer] if key else []
    return hashlib.sha256("\0".join(values).encode()).hexdigest()[:16]


def _accession(named_by: Elements) -> str:
    """Empty, too, for what is too long to be one."""
    number = named_by.text("AccessionNumber")
    return number if len(number) <= MAX_ID_CHARS else ""


def has_long_issuer(told: Elements) -> bool:
    """Whether who issued its accession, or one that it asks for, has a name that no case is found by."""
    return any(is_too_long(_issuer(one)) for one in (told, *told.items("RequestAttributesSequence")))


def _issuer(named_by: Elements) -> str:
    issuer = named_by.first("IssuerOfAccessionNumberSequence")
    return issuer.text("LocalNamespaceEntityID", "UniversalEntityID")


def _key(accession: str, named_by: Elements, settings: Dicom) -> CaseKey | None:
    name = _issuer(named_by)
    if is_too_long(name):
        return None
    return CaseKey(accession=accession, issuer=settings.issuers.get(name, name) if name else settings.issuer)


def _patient_issuer(told: Elements, issuers: Mapping[str, str]) -> str:
    qualifiers = told.first("IssuerOfPatientIDQualifiersSequence")
    name = told.text("IssuerOfPatientID") or qualifiers.text("UniversalEntityID")
    return issuers.get(name, name)


def _sex(told: Elements) -> str:
    letter = told.text("PatientSex")[:1].upper()
    return letter if letter in SEXES else ""


def _birth_date(told: Elements) -> date | None:
    return told.date("PatientBirthDate")


def _age(text: str) -> int | None:
    match = _AGE.fullmatch(text.upper())
    return int(match[1]) // _PER_YEAR[match[2]] if match else None


def _modality(told: Elements, names: str) -> str:
    codes = (*told.texts("Modality"), *told.texts("ModalitiesInStudy"))
    return next((m for code in codes if (m := read_modality(code))), "") or read_modality("", names)


def _body_part(told: Elements, names: str) -> str:
    regions = [item.as_code() for item in _regions(told)]
    examined = told.text("BodyPartExamined").upper().replace("_", " ")
    parts = (
        ", ".join(dict.fromkeys(part for region in regions if (part := _region(region)))),
        COMPOUND_PARTS.get(examined.replace(" ", ""), ""),
        read_body_parts(examined),
    )
    return next((part for part in parts if part), "") or read_body_parts(names)


def _region(code: Code) -> str:
    return word_of(code, "region") or read_body_parts(code.display)


def _laterality(told: Elements) -> str:
    for side in (told.text("ImageLaterality"), told.text("Laterality"), _anatomy(told).text("FrameLaterality")):
        if side.upper() in SIDES:
            return SIDES[side.upper()]
    modifiers = [m.as_code() for region in _regions(told) for m in region.items("AnatomicRegionModifierSequence")]
    return join_sides([word_of(m, "side") or SIDES.get(m.display.upper(), "") for m in modifiers])


def _regions(told: Elements) -> list[Elements]:
    return told.items("AnatomicRegionSequence") or _anatomy(told).items("AnatomicRegionSequence")


def _anatomy(told: Elements) -> Elements:
    """Of an enhanced multi-frame image, what all frames share (PS3.3 C.7.6.16.2.8)."""
    return told.first("SharedFunctionalGroupsSequence").first("FrameAnatomySequence")


def _contrast(told: Elements, names: str) -> str:
    coded = [item.as_code() for item in told.items("ContrastBolusAgentSequence")]
    agents = [told.text("ContrastBolusAgent").upper(), *(code.display.upper() or code.value for code in coded)]
    return "with" if any(agent not in _NO_AGENT for agent in agents) else read_contrast(names)


def _procedure(told: Elements, request: Elements) -> Code:
    codes = (
        told.code("ProcedureCodeSequence"),
        told.code("RequestedProcedureCodeSequence"),
        request.code("RequestedProcedureCodeSequence"),
    )
    return next((code for code in codes if code.value or code.display), Code())


def _reason(told: Elements, request: Elements) -> str:
    for place in (told, request):
        code = place.code("ReasonForRequestedProcedureCodeSequence")
        if reason := place.text("ReasonForTheRequestedProcedure") or code.display:
            return reason
    return told.text("ReasonForStudy")


def _at(told: Elements, zone: tzinfo) -> datetime | None:
    return told.moment("StudyDate", "StudyTime", zone) or told.moment(
        "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", zone
    )
