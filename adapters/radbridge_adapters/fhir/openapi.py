"""The server as an OpenAPI 3.1 document, made from its routes and search parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from radbridge import __version__
from radbridge_adapters.fhir.route import Route
from radbridge_adapters.fhir.search.params import Kind, Param, params_of
from radbridge_adapters.fhir.types import TYPES

_JSON = "application/fhir+json"
_ID = {"type": "string", "pattern": "^[A-Za-z0-9\\-.]{1,64}$"}
_RESOURCE = {"$ref": "#/components/schemas/Resource"}
_OUTCOME = {"description": "What went wrong", "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Outcome"}}}}
_PLAIN = {"openapi.json", ".well-known/smart-configuration"}
"""Documents that are no FHIR resources."""
_CONTROLS: Mapping[str, Mapping[str, Any]] = {
    "_count": {"type": "integer", "minimum": 0, "maximum": 500},
    "_summary": {"type": "string", "enum": ["count", "false"]},
    "_total": {"type": "string", "enum": ["none", "estimate", "accurate"]},
    "_elements": {"type": "string"},
}
_PATTERNS: Mapping[Kind, str] = {
    Kind.DATE: r"^(eq|ne|gt|lt|ge|le|sa|eb)?(19|20)\d\d(-(0[1-9]|1[0-2])(-(0[1-9]|1\d|2[0-8]))?)?$",
}


def make_openapi(routes: Sequence[Route], base: str) -> dict[str, Any]:
    """The document. Every operation answers errors with an OperationOutcome."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for kind in _kinds(route):
            path = "/" + route.path.replace("{type}", kind)
            paths.setdefault(path, {})[route.method.lower()] = _operation(route, kind, path)
    return {
        "openapi": "3.1.0",
        "info": {"title": "RadBridge FHIR R4", "version": __version__, "summary": "A FHIR R4 server of a few types"},
        "servers": [{"url": base}],
        "paths": paths,
        "components": {
            "schemas": {
                "Resource": {
                    "type": "object",
                    "required": ["resourceType"],
                    "properties": {"resourceType": {"type": "string"}},
                },
                "Outcome": {
                    "type": "object",
                    "required": ["resourceType", "issue"],
                    "properties": {
                        "resourceType": {"const": "OperationOutcome"},
                        "issue": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["code"]}},
                    },
                },
            }
        },
    }


def _kinds(route: Route) -> Iterator[str]:
    if "{type}" not in route.path or route.of_type:
        yield route.of_type
    else:
        yield from (kind for kind, allowed in TYPES.items() if route.needs in allowed)


def _operation(route: Route, kind: str, path: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": "_".join([route.method.lower(), *re.findall(r"\w+", path)]),
        "responses": {"200": _answer(route), "default": _OUTCOME},
    }
    if route.interaction in ("create", "update"):
        made["responses"]["201"] = _answer(route)
    parameters = list(_parameters(route, kind))
    if parameters:
        made["parameters"] = parameters
    body = _body(route, kind)
    return made | ({"requestBody": body} if body else {})


def _answer(route: Route) -> dict[str, Any]:
    if route.path in _PLAIN:
        return {"description": "The document", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {"description": "The resource, or a Bundle", "content": {_JSON: {"schema": _RESOURCE}}}


def _parameters(route: Route, kind: str) -> Iterator[dict[str, Any]]:
    for part in route.path.split("/"):
        if part.startswith("{") and part != "{type}":
            name = part[1:-1]
            schema: Mapping[str, Any] = {"type": "integer", "minimum": 1} if name == "version" else _ID
            yield {"name": name, "in": "path", "required": True, "schema": schema}
    if route.interaction == "search" and route.method == "GET":
        yield from _search_parameters(kind)


def _search_parameters(kind: str) -> Iterator[dict[str, Any]]:
    for name, param in params_of(kind).items():
        yield {"name": name, "in": "query", "description": param.about, "schema": _schema(param)}
    for name, schema in _CONTROLS.items():
        yield {"name": name, "in": "query", "schema": schema}


def _schema(param: Param) -> dict[str, Any]:
    pattern = _PATTERNS.get(param.kind)
    return {"type": "string"} | ({"pattern": pattern} if pattern else {})


def _body(route: Route, kind: str) -> dict[str, Any] | None:
    if route.path.endswith("_search"):
        properties = {name: _schema(param) for name, param in params_of(kind).items()}
        schema: Mapping[str, Any] = {"type": "object", "properties": properties}
        return {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}
    if route.method not in ("POST", "PUT"):
        return None
    return {"required": True, "content": {_JSON: {"schema": _RESOURCE}}}
