"""The resource types of this server, and what may be done with each."""

from __future__ import annotations

from collections.abc import Mapping

READ = frozenset({"read", "vread", "history", "search"})
WRITE = READ | {"create", "update"}

TYPES: Mapping[str, frozenset[str]] = {
    "AuditEvent": READ,
    "Composition": WRITE,
    "DiagnosticReport": WRITE,
    "ImagingStudy": WRITE,
    "Observation": WRITE,
    "Patient": WRITE,
    "Practitioner": WRITE,
    "PractitionerRole": WRITE,
    "Provenance": WRITE,
    "ServiceRequest": WRITE,
    "Subscription": WRITE,
}
"""Nothing is deleted: what came in is kept, and a report is taken back by its status."""
