"""ServiceRequest, ImagingStudy and a report's own code to `Order` and `Study`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from radbridge.case import Code, Order, Study, fill
from radbridge.procedure import read_body_parts, read_contrast, read_laterality, read_modality
from radbridge_adapters.resources.codes import DICOM_UID
from radbridge_adapters.resources.snapshot import Resource, Snapshot
from radbridge_adapters.resources.times import read_moment

PRIORITIES = {"stat": "S", "asap": "A", "urgent": "A", "routine": "R"}
"""RequestPriority -> HL7 table 0027, as the core has it."""
_PLACER, _FILLER = "PLAC", "FILL"
_OID = "urn:oid:"


def read_order(snapshot: Snapshot) -> Order:
    """What was asked for: the orders of the focus, or the focus where it is one; the procedure else from the report."""
    focus, order = snapshot.focus, Order()
    for request in reversed(find_requests(snapshot)):
        order = fill(order, _read_request(request))
    if order.procedure == Code() and focus["resourceType"] == "DiagnosticReport":
        order = fill(order, Order(procedure=read_code(focus.get("code"))))
    return order


def read_study(snapshot: Snapshot) -> Study:
    """What was, or is to be, examined: the imaging study, and what the procedure's name says."""
    focus, order = snapshot.focus, read_order(snapshot)
    procedure = order.procedure
    name = " ".join(part for part in (procedure.display, procedure.value) if part)
    sites = [text for request in find_requests(snapshot) for text in _texts(request.get("bodySite", ()))]
    study = Study(
        modality=read_modality("", name),
        body_part=read_body_parts(" ".join((name, *sites))),
        laterality=read_laterality(sites, name),
        contrast=read_contrast(name),
        description=procedure.display,
        at=read_moment(focus.get("effectiveDateTime") or focus.get("effectivePeriod", {}).get("start", "")),
    )
    own = [focus] if focus["resourceType"] == "ImagingStudy" else []
    for imaging in (*own, *snapshot.find_all(focus.get("imagingStudy"), focus)):
        study = fill(study, _read_imaging(imaging))
    return study


def find_requests(snapshot: Snapshot) -> list[Resource]:
    """The orders that the focus fulfils, or itself."""
    focus = snapshot.focus
    if focus["resourceType"] == "ServiceRequest":
        return [focus]
    found = snapshot.find_all(focus.get("basedOn"), focus)
    return [one for one in found if one["resourceType"] == "ServiceRequest"]


def read_code(concept: Mapping[str, Any] | None) -> Code:
    """A CodeableConcept's first coding, with its text as the display."""
    if not concept:
        return Code()
    coding: Mapping[str, Any] = next(iter(concept.get("coding", ())), {})
    display = concept.get("text") or coding.get("display", "")
    return Code(value=coding.get("code", ""), system=coding.get("system", ""), display=display)


def _read_request(request: Resource) -> Order:
    notes = [note.get("text", "") for note in request.get("note", ())]
    return Order(
        placer=_identifier(request, _PLACER),
        filler=_identifier(request, _FILLER),
        procedure=read_code(request.get("code")),
        reason="; ".join(_texts(request.get("reasonCode", ()))),
        clinical_information=" ".join(text for text in notes if text),
        priority=PRIORITIES.get(request.get("priority", ""), ""),
    )


def _read_imaging(imaging: Resource) -> Study:
    series = imaging.get("series", ())
    modalities = [*imaging.get("modality", ()), *(one["modality"] for one in series if "modality" in one)]
    sites = [one["bodySite"] for one in series if "bodySite" in one]
    sides = [one["laterality"] for one in series if "laterality" in one]
    description = imaging.get("description", "")
    known = (read_modality(coding.get("code", ""), coding.get("display", "")) for coding in modalities)
    return Study(
        modality=next((modality for modality in known if modality), ""),
        body_part=read_body_parts(" ".join(_displays(sites))),
        laterality=read_laterality([*_displays(sides)], ""),
        description=description,
        uid=_study_uid(imaging),
        at=read_moment(imaging.get("started", "")),
    )


def _study_uid(imaging: Resource) -> str:
    """`urn:oid:1.2.3` in an identifier of system urn:dicom:uid (R4 imagingstudy.html#notes)."""
    values = [one.get("value", "") for one in imaging.get("identifier", ()) if one.get("system") == DICOM_UID]
    return str(values[0]).removeprefix(_OID) if values else ""


def _identifier(request: Resource, code: str) -> str:
    for one in request.get("identifier", ()):
        if any(coding.get("code") == code for coding in one.get("type", {}).get("coding", ())):
            return str(one.get("value", ""))
    return ""


def _texts(concepts: Iterable[Mapping[str, Any]]) -> list[str]:
    codes = (read_code(concept) for concept in concepts)
    return [text for code in codes if (text := code.display or code.value)]


def _displays(codings: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    return (coding.get("display") or coding.get("code", "") for coding in codings)
