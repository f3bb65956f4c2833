"""The services as OpenAPI 3.1, at `/cds-services/openapi.json`: made from the same table as discovery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from radbridge import __version__
from radbridge_adapters.cdshooks.feedback import ACCEPTED, MAX_OUTCOMES, OVERRIDDEN
from radbridge_adapters.cdshooks.services import PATH, SERVICES, Service

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_OBJECT: Schema = {"type": "object"}
_CARD: Schema = {
    "type": "object",
    "required": ["uuid", "summary", "indicator", "source"],
    "properties": {
        "uuid": {"type": "string", "format": "uuid"},
        "summary": {"type": "string", "maxLength": 140},
        "indicator": {"enum": ["info", "warning", "critical"]},
        "source": {"type": "object", "required": ["label"], "properties": {"label": _TEXT}},
        "detail": _TEXT,
        "suggestions": {"type": "array", "items": {"type": "object", "required": ["label"]}},
        "selectionBehavior": {"const": "at-most-one"},
    },
}
_OUTCOME: Schema = {
    "type": "object",
    "required": ["card", "outcome", "outcomeTimestamp"],
    "properties": {
        "card": _TEXT,
        "outcome": {"enum": [ACCEPTED, OVERRIDDEN]},
        "acceptedSuggestions": {"type": "array", "items": {"type": "object", "required": ["id"]}},
        "overrideReason": _OBJECT,
        "outcomeTimestamp": {"type": "string", "format": "date-time"},
    },
}
_REFUSALS = {
    400: "The call is malformed; the outcome names each place.",
    401: "The client didn't prove who it is.",
    403: "A web page, or another machine, asks a server that is open to its own machine only.",
    412: "The report is needed and can't be got, or names no accession number.",
    413: "The body is too large.",
    503: "Nothing could be stored now.",
}


def describe() -> Mapping[str, Any]:
    """The whole document."""
    paths: dict[str, Any] = {PATH: {"get": _discovery()}}
    for service in SERVICES.values():
        paths[f"{PATH}/{service.id}"] = {"post": _call(service)}
        paths[f"{PATH}/{service.id}/feedback"] = {"post": _feedback(service)}
    info = {"title": "RadBridge CDS Hooks", "version": __version__}
    return {"openapi": "3.1.0", "info": info, "paths": paths}


def _discovery() -> Schema:
    services = {"type": "array", "items": {"type": "object", "required": ["hook", "description", "id"]}}
    return {
        "operationId": "discover",
        "summary": "Tell the services",
        "responses": {"200": _json("The services.", {"type": "object", "properties": {"services": services}})},
    }


def _call(service: Service) -> Schema:
    fields: Schema = {"userId": _TEXT, "patientId": _TEXT} | dict.fromkeys(service.resources, _OBJECT)
    context = {"type": "object", "required": sorted(service.context), "properties": fields}
    body = {
        "type": "object",
        "required": ["hook", "hookInstance", "context"],
        "properties": {
            "hook": {"const": service.hook},
            "hookInstance": {"type": "string", "format": "uuid"},
            "context": context,
            "prefetch": _OBJECT,
            "fhirServer": {"type": "string", "format": "uri"},
            "fhirAuthorization": _OBJECT,
        },
    }
    cards = {"type": "object", "required": ["cards"], "properties": {"cards": {"type": "array", "items": _CARD}}}
    return _operation(
        service.id, service.description, body, _json("Cards; none when there is no draft in time.", cards)
    )


def _feedback(service: Service) -> Schema:
    outcomes = {"type": "array", "items": _OUTCOME, "minItems": 1, "maxItems": MAX_OUTCOMES}
    body = {"type": "object", "required": ["feedback"], "properties": {"feedback": outcomes}}
    told = _json("Kept; what is said of cards that aren't known is counted.", _OBJECT)
    return _operation(f"{service.id}-feedback", "What became of cards", body, told)


def _operation(id: str, summary: str, body: Schema, success: Schema) -> Schema:
    outcome = {"type": "object", "required": ["resourceType", "issue"]}
    refusals = {str(status): _json(what, outcome) for status, what in _REFUSALS.items() if status != 503}
    return {
        "operationId": id,
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": success, **refusals, "503": {"description": _REFUSALS[503]}},
    }


def _json(what: str, schema: Schema) -> Schema:
    return {"description": what, "content": {"application/json": {"schema": schema}}}
