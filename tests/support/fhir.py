"""FHIR documents for tests, all synthetic."""

from __future__ import annotations

import base64
from typing import Any

ACSN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
FINDINGS = "Right pleural effusion. No pneumothorax."
JSON = {"content-type": "application/fhir+json"}


def report(accession: str = "A1", text: str = FINDINGS, *, status: str = "partial", **more: Any) -> dict[str, Any]:
    """An unsigned report with its text attached; without a text it is one that nobody has begun."""
    data = base64.b64encode(f"FINDINGS: {text}".encode()).decode()
    attached = {"presentedForm": [{"contentType": "text/plain; charset=utf-8", "data": data}]} if text else {}
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [{"type": ACSN, "value": accession}],
        "status": status,
        "code": {"coding": [{"system": "http://loinc.org", "code": "18748-4"}]},
        "subject": {"identifier": {"value": "900001"}},
        **attached,
        **more,
    }


def patient(number: str = "900001", **more: Any) -> dict[str, Any]:
    """Jane Doe."""
    return {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:oid:1.2.3", "value": number}],
        "name": [{"family": "Doe", "given": ["Jane"]}],
        "gender": "female",
        "birthDate": "1970-03-01",
        **more,
    }


def order(accession: str = "A1", **more: Any) -> dict[str, Any]:
    """An order of a chest CT."""
    return {
        "resourceType": "ServiceRequest",
        "identifier": [{"type": ACSN, "value": accession}],
        "status": "active",
        "intent": "order",
        "code": {"text": "CT CHEST"},
        "subject": {"identifier": {"value": "900001"}},
        **more,
    }


def observation(text: str = FINDINGS, *, code: str = "59776-5", **more: Any) -> dict[str, Any]:
    """A section of a report."""
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "valueString": text,
        **more,
    }
