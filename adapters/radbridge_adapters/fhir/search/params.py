"""The search parameters of every type: where in a resource each one looks (R4 searchparameter-registry.html)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a parameter compares (R4 search.html#ptypes)."""

    TOKEN = "token"  # noqa: S105 - FHIR's word for a code
    REFERENCE = "reference"
    DATE = "date"
    STRING = "string"
    URI = "uri"


@dataclass(frozen=True, kw_only=True, slots=True)
class Param:
    """One search parameter."""

    kind: Kind
    paths: tuple[str, ...]
    """Elements below the resource, `result` or `relatesTo.target`; arrays are looked through."""
    stored_as: str
    """The rows that it looks at: `patient` looks at those of `subject`."""
    target: str = ""
    """The one type that it may point at."""
    about: str = ""


def _param(kind: Kind, name: str, *paths: str, stored_as: str = "", target: str = "", about: str = "") -> Param:
    return Param(kind=kind, paths=paths or (name,), stored_as=stored_as or name, target=target, about=about)


_IDENTIFIER = _param(Kind.TOKEN, "identifier", about="A business identifier, such as the accession number")
_STATUS = _param(Kind.TOKEN, "status", about="The status")
_CODE = _param(Kind.TOKEN, "code", about="What it is, coded")
_SUBJECT = _param(Kind.REFERENCE, "subject", about="Whom it is about")
_PATIENT = _param(Kind.REFERENCE, "subject", stored_as="subject", target="Patient", about="The patient it is about")
_BASED_ON = _param(Kind.REFERENCE, "basedOn", stored_as="based-on", about="The order that it fulfils")
_NAME = _param(Kind.STRING, "name", about="Any part of the name")

COMMON: Mapping[str, Param] = {
    "_id": _param(Kind.TOKEN, "_id", "id", about="The id on this server"),
    "_lastUpdated": _param(Kind.DATE, "_lastUpdated", "meta.lastUpdated", about="When this version was stored"),
    "_security": _param(Kind.TOKEN, "_security", "meta.security", about="A security label"),
    "_tag": _param(Kind.TOKEN, "_tag", "meta.tag", about="A tag"),
}
"""Of every type; the first two are columns and have no rows."""
COLUMNS = frozenset({"_id", "_lastUpdated"})

PARAMS: Mapping[str, Mapping[str, Param]] = {
    "AuditEvent": {
        "date": _param(Kind.DATE, "date", "recorded", about="When it was recorded"),
        "type": _param(Kind.TOKEN, "type", about="What kind of event"),
        "entity": _param(Kind.REFERENCE, "entity", "entity.what", about="A resource that was shown or stored"),
        "patient": _param(
            Kind.REFERENCE,
            "patient",
            "entity.what",
            stored_as="entity",
            target="Patient",
            about="A Patient that was shown or stored itself",
        ),
    },
    "Composition": {
        "identifier": _IDENTIFIER,
        "status": _STATUS,
        "subject": _SUBJECT,
        "patient": _PATIENT,
        "entry": _param(Kind.REFERENCE, "entry", "section.entry", about="What a section refers to"),
    },
    "DiagnosticReport": {
        "identifier": _IDENTIFIER,
        "status": _STATUS,
        "subject": _SUBJECT,
        "patient": _PATIENT,
        "based-on": _BASED_ON,
        "result": _param(Kind.REFERENCE, "result", about="An Observation of the report"),
        "results-interpreter": _param(
            Kind.REFERENCE, "resultsInterpreter", stored_as="results-interpreter", about="Who is to sign, or has signed"
        ),
        "performer": _param(Kind.REFERENCE, "performer", about="Who is responsible for it"),
        "imaging-study": _param(
            Kind.REFERENCE, "imagingStudy", stored_as="imaging-study", about="The study (of this server's own)"
        ),
        "code": _CODE,
        "category": _param(Kind.TOKEN, "category", about="Which service made it"),
        "date": _param(
            Kind.DATE, "date", "effectiveDateTime", "effectivePeriod", about="When the patient was examined"
        ),
        "issued": _param(Kind.DATE, "issued", about="When this state of it was issued"),
    },
    "ImagingStudy": {
        "identifier": _IDENTIFIER,
        "subject": _SUBJECT,
        "patient": _PATIENT,
        "started": _param(Kind.DATE, "started", about="When the study began"),
        "status": _STATUS,
        "basedon": _param(Kind.REFERENCE, "basedOn", stored_as="based-on", about="The order that it fulfils"),
    },
    "Observation": {
        "identifier": _IDENTIFIER,
        "status": _STATUS,
        "code": _CODE,
        "subject": _SUBJECT,
        "patient": _PATIENT,
        "date": _param(Kind.DATE, "date", "effectiveDateTime", "effectivePeriod", "effectiveInstant", about="When"),
        "based-on": _BASED_ON,
    },
    "Patient": {
        "identifier": _IDENTIFIER,
        "name": _NAME,
        "family": _param(Kind.STRING, "family", "name.family", about="The family name"),
        "birthdate": _param(Kind.DATE, "birthdate", "birthDate", about="The date of birth"),
        "gender": _param(Kind.TOKEN, "gender", about="Administrative gender"),
        "link": _param(Kind.REFERENCE, "link", "link.other", about="Another record of the same patient"),
    },
    "Practitioner": {"identifier": _IDENTIFIER, "name": _NAME},
    "PractitionerRole": {
        "identifier": _IDENTIFIER,
        "practitioner": _param(Kind.REFERENCE, "practitioner", about="Whose role"),
    },
    "Provenance": {
        "target": _param(Kind.REFERENCE, "target", about="What it tells the origin of"),
        "recorded": _param(Kind.DATE, "recorded", about="When it was recorded"),
    },
    "ServiceRequest": {
        "identifier": _IDENTIFIER,
        "subject": _SUBJECT,
        "patient": _PATIENT,
        "status": _STATUS,
        "authored": _param(Kind.DATE, "authored", "authoredOn", about="When it was ordered"),
        "code": _CODE,
    },
    "Subscription": {
        "status": _STATUS,
        "url": _param(Kind.URI, "url", "channel.endpoint", about="Where notifications go"),
        "type": _param(Kind.TOKEN, "type", "channel.type", about="The channel's type"),
        "criteria": _param(Kind.STRING, "criteria", about="The criteria, or the topic"),
    },
}


def params_of(resource_type: str) -> Mapping[str, Param]:
    """Every parameter of a type, by name."""
    return {**COMMON, **PARAMS.get(resource_type, {})}


def references_of(resource_type: str) -> tuple[str, ...]:
    """The names under which a type's references have rows."""
    own = PARAMS.get(resource_type, {}).values()
    return tuple(dict.fromkeys(param.stored_as for param in own if param.kind is Kind.REFERENCE))
