"""Calls of CDS Hooks services, as a reporting system makes them."""

from __future__ import annotations

import uuid
from typing import Any

ACSN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
REPORT_DRAFT = "/cds-services/radbridge-report-draft"
ORDER_SIGN = "/cds-services/radbridge-order-sign"
FINDINGS = "There is a 7 mm nodule in the right upper lobe. The heart is normal in size."


def report(accession: str = "A500001", *, status: str = "partial", id: str = "r1") -> dict[str, Any]:
    """A report in progress whose findings are an Observation."""
    return {
        "resourceType": "DiagnosticReport",
        "id": id,
        "identifier": [{"type": ACSN, "value": accession}],
        "status": status,
        "code": {"coding": [{"system": "http://loinc.org", "code": "18748-4"}], "text": "CT CHEST"},
        "subject": {"reference": "Patient/p1"},
        "resultsInterpreter": [{"reference": "Practitioner/1001"}],
        "result": [{"reference": "Observation/f1"}],
    }


def findings(text: str = FINDINGS) -> dict[str, Any]:
    """The Observation with the findings."""
    return {
        "resourceType": "Observation",
        "id": "f1",
        "status": "preliminary",
        "code": {"coding": [{"system": "http://loinc.org", "code": "59776-5"}]},
        "valueString": text,
    }


def patient() -> dict[str, Any]:
    mr = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    return {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [{"type": mr, "value": "900001"}],
        "name": [{"family": "DOE", "given": ["JANE"]}],
        "gender": "female",
    }


def searchset(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources]}


def call(hook: str = "report-draft", *, context: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A call with what its hook needs; a field given as None is left out."""
    about = {"userId": "Practitioner/1001", "patientId": "p1"} | (context or {})
    whole = {"hook": hook, "hookInstance": str(uuid.uuid4()), "context": about} | more
    return {name: value for name, value in whole.items() if value is not None}


def draft_call(accession: str = "A500001", text: str = FINDINGS, **more: Any) -> dict[str, Any]:
    """A `report-draft` call with its report prefetched."""
    prefetch = {"report": searchset(report(accession), findings(text)), "patient": patient()}
    return call(context={"reportId": "r1"}, prefetch=prefetch) | more
