"""The few R5 shapes that matter here, and what they are called in R4.

R5 renamed `DiagnosticReport.imagingStudy` to `study`, which may name a GenomicStudy too, gave `status` the value
`modified`, and made `ImagingStudy.series.modality` and `ImagingStudy.modality` CodeableConcepts. Only these differ
for what RadBridge reads; everything else of a resource stays as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from radbridge.errors import MessageFault


class _Shape(BaseModel):
    """Part of an R5 resource: what isn't named is kept."""

    model_config = ConfigDict(extra="allow", strict=True)


class Coding(_Shape):
    """A Coding."""

    system: str | None = None
    code: str | None = None
    display: str | None = None


class Concept(_Shape):
    """A CodeableConcept."""

    coding: list[Coding] = []


class Reference(_Shape):
    """A Reference."""

    reference: str | None = None
    type: str | None = None


class Report(_Shape):
    """DiagnosticReport (R5)."""

    status: str | None = None
    study: list[Reference] = []
    """ImagingStudy or GenomicStudy."""


class Series(_Shape):
    """ImagingStudy.series (R5)."""

    modality: Concept | None = None
    bodySite: dict[str, Any] | None = None  # noqa: N815 - FHIR's own spelling
    """CodeableReference."""
    laterality: Concept | None = None


class ImagingStudy(_Shape):
    """ImagingStudy (R5)."""

    modality: list[Concept] = []
    series: list[Series] = []


class Observation(_Shape):
    """Observation (R5)."""

    status: str | None = None
    code: dict[str, Any] = Field(default_factory=dict)


_STATUSES = {"modified": "preliminary"}
"""`modified`: a preliminary report that was changed before it was final; R4 has no word for it."""


def to_r4(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """The resource as R4 would have it. Raises MessageFault for one of these types that isn't R5."""
    read = _READERS.get(str(resource.get("resourceType")))
    if read is None:
        return resource
    try:
        return read(dict(resource))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise MessageFault("not_r5", "a resource isn't as R5 has it", where=where) from None


def _report(resource: dict[str, Any]) -> Mapping[str, Any]:
    report = Report.model_validate(resource)
    studies = [s for s in report.study if (s.reference or "").partition("/")[0] != "GenomicStudy"]
    kept = {name: value for name, value in resource.items() if name != "study"}
    if studies:
        kept["imagingStudy"] = [s.model_dump(exclude_none=True) for s in studies]
    if report.status in _STATUSES:
        kept["status"] = _STATUSES[report.status]
    return kept


def _imaging_study(resource: dict[str, Any]) -> Mapping[str, Any]:
    study = ImagingStudy.model_validate(resource)
    series = []
    for shape, one in zip(study.series, resource.get("series", ()), strict=True):
        changed = {k: v for k, v in one.items() if k not in ("modality", "laterality", "bodySite")}
        changed |= {"modality": _first(shape.modality)} if shape.modality else {}
        changed |= {"laterality": _first(shape.laterality)} if shape.laterality else {}
        concept = (shape.bodySite or {}).get("concept")
        if isinstance(concept, dict) and concept.get("coding"):
            changed["bodySite"] = concept["coding"][0]
        series.append(changed)
    changes = {"modality": [_first(m) for m in study.modality if m.coding], "series": series}
    return resource | {name: value for name, value in changes.items() if value}


def _observation(resource: dict[str, Any]) -> Mapping[str, Any]:
    Observation.model_validate(resource)
    return resource


def _first(concept: Concept) -> dict[str, Any]:
    return concept.coding[0].model_dump(exclude_none=True) if concept.coding else {}


_READERS = {"DiagnosticReport": _report, "ImagingStudy": _imaging_study, "Observation": _observation}
