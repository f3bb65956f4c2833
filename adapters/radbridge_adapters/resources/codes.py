"""Coded concepts and naming systems of our documents, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radbridge.case import Code

CANONICAL = "https://radbridge.dev/fhir"
"""What our profiles, extensions and topics are named under."""
DRAFT_SYSTEM = f"{CANONICAL}/draft"
"""Identifiers of our drafts: by these a resource is known for ours wherever it comes back from."""

ACCESSION_SYSTEM = f"{CANONICAL}/accession"
"""Of the accession number among a draft's identifiers. Not the hospital's own system: a conditional update of theirs by
accession must find their report only."""
DRAFT_TOPIC = f"{CANONICAL}/SubscriptionTopic/draft-impression"
"""The topic of our drafts, for Subscriptions."""

LOINC = "http://loinc.org"
OBSERVATION_VALUE = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
DIAGNOSTIC_SERVICE = "http://terminology.hl7.org/CodeSystem/v2-0074"
OBSERVATION_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
PROVENANCE_AGENT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
DATA_OPERATION = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
DICOM_UID = "urn:dicom:uid"

AIAST = Code(value="AIAST", system=OBSERVATION_VALUE, display="Artificial Intelligence asserted")
IMPRESSION = Code(value="19005-8", system=LOINC, display="Radiology Imaging study [Impression] (narrative)")
REPORT = Code(value="18748-4", system=LOINC, display="Diagnostic imaging study")
RADIOLOGY = Code(value="RAD", system=DIAGNOSTIC_SERVICE, display="Radiology")
IMAGING = Code(value="imaging", system=OBSERVATION_CATEGORY, display="Imaging")
ACCESSION = Code(value="ACSN", system=IDENTIFIER_TYPE, display="Accession ID")
RECORD_NUMBER = Code(value="MR", system=IDENTIFIER_TYPE, display="Medical record number")
ASSEMBLER = Code(value="assembler", system=PROVENANCE_AGENT, display="Assembler")

SECTIONS: Mapping[str, str] = {
    "59776-5": "findings",
    "18782-3": "findings",
    "19005-8": "impression",
    "18834-2": "comparison",
    "55111-9": "technique",
    "11329-0": "indication",
    "18785-6": "indication",
    "55115-0": "indication",
    "18783-1": "recommendation",
}
"""LOINC of a report's section -> the field of `ReportText`."""
RADIOLOGY_SERVICES = frozenset("RAD RUS RX RT CT NMR NMS OUS VUS CUS XRC IMG MG".split())
"""Codes of table v2-0074 that are imaging."""


def coding(code: Code) -> dict[str, Any]:
    """A Coding."""
    made = {"system": code.system, "code": code.value, "display": code.display}
    return {name: value for name, value in made.items() if value}


def concept(code: Code) -> dict[str, Any]:
    """A CodeableConcept."""
    return {"coding": [coding(code)]} | ({"text": code.display} if code.display else {})


def has_code(concept_or_coding: Any, code: Code) -> bool:
    """Whether a CodeableConcept, or a Coding, is `code`."""
    if not isinstance(concept_or_coding, dict):
        return False
    codings = concept_or_coding.get("coding", [concept_or_coding])
    return any(one.get("system") == code.system and one.get("code") == code.value for one in codings)
