"""FHIRcast events as applications write them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

ACSN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
FINDINGS = "59776-5"


def event(
    name: str, context: Sequence[Mapping[str, Any]], *, topic: str = "topic", version: str = "", id: str = ""
) -> dict[str, Any]:
    """An event as it is posted."""
    about: dict[str, Any] = {"hub.topic": topic, "hub.event": name}
    if version:
        about["context.versionId"] = version
    return {
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "id": id or str(uuid.uuid4()),
        "event": about | {"context": list(context)},
    }


def report_context(accession: str, report: str = "r1", **more: Any) -> list[dict[str, Any]]:
    """The context of a `DiagnosticReport-open`: report, patient and study."""
    return [
        {
            "key": "report",
            "resource": {
                "resourceType": "DiagnosticReport",
                "id": report,
                "status": "unknown",
                "basedOn": [{"type": "ServiceRequest", "identifier": {"type": ACSN, "value": accession}}],
                "code": {"coding": [{"system": "http://loinc.org", "code": "18748-4"}]},
                "subject": {"reference": "Patient/p1"},
                "imagingStudy": [{"reference": "ImagingStudy/s1"}],
            }
            | more,
        },
        {
            "key": "patient",
            "resource": {
                "resourceType": "Patient",
                "id": "p1",
                "identifier": [
                    {
                        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
                        "system": "urn:oid:2.999.1",
                        "value": "900001",
                    }
                ],
                "name": [{"family": "DOE", "given": ["JANE"]}],
                "gender": "female",
                "birthDate": "1960-01-02",
            },
        },
        {
            "key": "study",
            "resource": {
                "resourceType": "ImagingStudy",
                "id": "s1",
                "status": "available",
                "subject": {"reference": "Patient/p1"},
                "started": "2026-01-02T03:04:05Z",
                "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}],
                "description": "CT CHEST",
            },
        },
    ]


def observation(text: str, id: str = "f1", code: str = FINDINGS) -> dict[str, Any]:
    """Report text as an Observation."""
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "preliminary",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "valueString": text,
    }


def put(resource: Mapping[str, Any], method: str = "PUT") -> dict[str, Any]:
    """A Bundle entry that puts a resource."""
    return {"request": {"method": method}, "resource": resource}


def delete(reference: str) -> dict[str, Any]:
    """A Bundle entry that takes a resource away, as 3.6.3 writes it."""
    return {"fullUrl": reference, "request": {"method": "DELETE"}}


def update_context(*entries: Mapping[str, Any], report: str = "r1", bundle: str = "b1") -> list[dict[str, Any]]:
    """The context of a `DiagnosticReport-update`."""
    updates = {"resourceType": "Bundle", "id": bundle, "type": "transaction", "entry": list(entries)}
    return [
        {"key": "report", "reference": {"reference": f"DiagnosticReport/{report}"}},
        {"key": "updates", "resource": updates},
    ]
