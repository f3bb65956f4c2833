"""Our CDS services, as data: what discovery tells and what a call has to bring. CDS Hooks 2.0, "Discovery"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PATH = "/cds-services"
REPORT, PATIENT = "report", "patient"
"""Prefetch keys."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One service."""

    id: str
    hook: str
    title: str
    description: str
    prefetch: Mapping[str, str]
    context: frozenset[str]
    """Fields that the hook's context must have."""
    resources: Mapping[str, str]
    """Fields of the context that are resources, and of which type."""
    usage: str = ""

    def describe(self) -> dict[str, Any]:
        """As discovery tells it."""
        told = {"hook": self.hook, "id": self.id, "title": self.title, "description": self.description}
        usage = {"usageRequirements": self.usage} if self.usage else {}
        return told | {"prefetch": dict(self.prefetch)} | usage


REPORT_DRAFT = Service(
    id="radbridge-report-draft",
    hook="report-draft",
    title="Draft Impression",
    description="Drafts the Impression of a report in progress, in the style of whoever will sign it. Never signs.",
    prefetch={
        REPORT: "DiagnosticReport?_id={{context.reportId}}&_include=DiagnosticReport:result"
        "&_include=DiagnosticReport:based-on&_include=DiagnosticReport:results-interpreter",
        PATIENT: "Patient/{{context.patientId}}",
    },
    context=frozenset({"userId", "patientId"}),
    resources={REPORT: "DiagnosticReport"},
    usage="The context has reportId, or report: the DiagnosticReport itself. It names its accession number and holds "
    "the findings.",
)
ORDER_SIGN = Service(
    id="radbridge-order-sign",
    hook="order-sign",
    title="Orders to come",
    description="Learns of imaging orders, so that the report to come is drafted with its indication. Shows no cards.",
    prefetch={PATIENT: "Patient/{{context.patientId}}"},
    context=frozenset({"userId", "patientId", "draftOrders"}),
    resources={"draftOrders": "Bundle"},
)
SERVICES: Mapping[str, Service] = {service.id: service for service in (REPORT_DRAFT, ORDER_SIGN)}


def discover() -> dict[str, Any]:
    """The answer to `GET /cds-services`."""
    return {"services": [service.describe() for service in SERVICES.values()]}
