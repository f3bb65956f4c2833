"""Patient resources to the core's `Patient`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from radbridge.case import Patient, Sex
from radbridge_adapters.resources.codes import RECORD_NUMBER, has_code
from radbridge_adapters.resources.snapshot import Resource

SEXES = {"female": Sex.FEMALE, "male": Sex.MALE, "other": Sex.OTHER, "unknown": Sex.UNKNOWN}
_PHONES = frozenset({"phone", "sms", "pager"})
_DAY = len("2026-01-02")


def read_patient(resource: Resource | None, reference: Any = None) -> Patient:
    """Who a resource is about; what only the Reference tells (an identifier) where the Patient itself isn't known.

    A report's subject may also be a Group, a Location or a Device (R4 diagnosticreport.html): that is no patient.
    """
    if resource is None or resource.get("resourceType") != "Patient":
        told = reference.get("identifier", {}) if isinstance(reference, dict) else {}
        return Patient(id=told.get("value", ""), issuer=_issuer_of(told))
    own = choose_identifier(resource)
    spare = [one.get("value", "") for one in resource.get("identifier", ()) if one is not own]
    telecoms = [one.get("value", "") for one in resource.get("telecom", ()) if one.get("system") in _PHONES]
    return Patient(
        id=own.get("value", "") or resource.get("id", ""),
        issuer=_issuer_of(own),
        name=read_name(resource.get("name", ())),
        birth_date=_read_day(resource.get("birthDate", "")),
        sex=SEXES.get(resource.get("gender", ""), Sex.UNKNOWN),
        phones=tuple(dict.fromkeys(text for text in telecoms if text)),
        address=_read_address(resource.get("address", ())),
        other_ids=tuple(dict.fromkeys(text for text in spare if text)),
    )


def choose_identifier(resource: Resource) -> Mapping[str, Any]:
    """Of several identifiers the record number, else the first one in use; an empty one where none has a value."""
    valued: list[Mapping[str, Any]] = [one for one in resource.get("identifier", ()) if one.get("value")]
    current = [one for one in valued if one.get("use") != "old"] or valued
    by_type = [one for one in current if has_code(one.get("type"), RECORD_NUMBER)]
    return next(iter(by_type or current), {})


def read_name(names: Sequence[Mapping[str, Any]]) -> str:
    """The first official or usual name, in the form that DICOM and HL7 share: `DOE^JANE^Q`."""
    if not names:
        return ""
    name = next((one for one in names if one.get("use") in ("official", "usual")), names[0])
    if not name.get("family") and not name.get("given"):
        return str(name.get("text", ""))
    parts = [name.get("family", ""), *(part or "" for part in name.get("given", ()))]
    return "^".join(part.replace("^", " ") for part in parts).rstrip("^")


def _issuer_of(identifier: Mapping[str, Any]) -> str:
    assigner = identifier.get("assigner", {})
    return str(assigner.get("identifier", {}).get("value") or assigner.get("display") or identifier.get("system", ""))


def _read_day(text: str) -> date | None:
    return date.fromisoformat(text) if len(text) == _DAY else None


def _read_address(addresses: Sequence[Mapping[str, Any]]) -> str:
    if not addresses:
        return ""
    first = addresses[0]
    parts = [*first.get("line", ()), first.get("city"), first.get("state"), first.get("postalCode")]
    return ", ".join(part for part in parts if part) or str(first.get("text", ""))
