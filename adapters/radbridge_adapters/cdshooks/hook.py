"""One call of a service, read and held to CDS Hooks 2.0, "HTTP Request"."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from radbridge_adapters.cdshooks.services import Service
from radbridge_adapters.resources.json import read_json
from radbridge_adapters.resources.outcome import Issue, Issues, refuse
from radbridge_adapters.resources.validate import validate


@dataclass(frozen=True, kw_only=True, slots=True)
class HookRequest:
    """A call. An access token that may have come with it (`fhirAuthorization`) is not kept: nothing here uses it."""

    hook: str
    instance: str
    context: Mapping[str, Any] = field(repr=False)
    prefetch: Mapping[str, Any] = field(repr=False)
    fhir_server: str

    def prefetched(self) -> Iterator[dict[str, Any]]:
        """Every resource that came along, those in Bundles one by one."""
        for value in self.prefetch.values():
            yield from unpack(value)


def unpack(value: Any) -> Iterator[dict[str, Any]]:
    """A resource itself, or those that a Bundle holds; nothing for null."""
    if not isinstance(value, dict):
        return
    if value.get("resourceType") != "Bundle":
        yield value
        return
    for entry in value.get("entry", ()):
        if "resource" in entry:
            yield entry["resource"]


def parse_request(raw: bytes, service: Service) -> HookRequest:
    """The call of `service` in `raw`. Raises Issues (400) with everything that is wrong."""
    document = read_json(raw)
    issues = [*_check_shape(document, service)]
    if issues:
        raise Issues(issues, status=400)
    for name, value in _resources_of(document, service):
        try:
            validate(value)
        except Issues as wrong:
            issues += [
                Issue(code=i.code, expression=f"{name}: {i.expression}", diagnostics=i.diagnostics)
                for i in wrong.issues
            ]
    if issues:
        raise Issues(issues, status=400)
    return HookRequest(
        hook=document["hook"],
        instance=document["hookInstance"],
        context=document["context"],
        prefetch=document.get("prefetch") or {},
        fhir_server=str(document.get("fhirServer") or "").rstrip("/"),
    )


def _check_shape(document: Mapping[str, Any], service: Service) -> Iterator[Issue]:
    if document.get("hook") != service.hook:
        yield Issue(code="value", expression="hook", diagnostics=f"this service is for the hook {service.hook}")
    if not _is_uuid(document.get("hookInstance")):
        yield Issue(code="value", expression="hookInstance", diagnostics="a UUID is needed")
    for name in ("prefetch", "fhirAuthorization"):
        if not isinstance(document.get(name, {}), dict | None):
            yield Issue(code="structure", expression=name, diagnostics="an object is needed")
    if not isinstance(document.get("fhirServer", ""), str):
        yield Issue(code="structure", expression="fhirServer", diagnostics="a URL is needed")
    yield from _check_context(document.get("context"), service)


def _check_context(context: Any, service: Service) -> Iterator[Issue]:
    if not isinstance(context, dict):
        yield Issue(code="required", expression="context", diagnostics="an object is needed")
        return
    for name in sorted(service.context - context.keys()):
        yield Issue(code="required", expression=f"context.{name}", diagnostics="missing")
    for name, value in context.items():
        wanted = service.resources.get(name)
        if name.endswith("Id") and not isinstance(value, str):
            yield Issue(code="structure", expression=f"context.{name}", diagnostics="text is needed")
        if wanted and not (isinstance(value, dict) and value.get("resourceType") == wanted):
            yield Issue(code="structure", expression=f"context.{name}", diagnostics=f"a {wanted} is needed")


def _resources_of(document: Mapping[str, Any], service: Service) -> Iterator[tuple[str, Any]]:
    """Everything that a translator will read, by its place in the call."""
    context, prefetch = document["context"], document.get("prefetch") or {}
    yield from ((f"context.{name}", context[name]) for name in service.resources if name in context)
    yield from ((f"prefetch.{name}", value) for name, value in prefetch.items() if value is not None)


def _is_uuid(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value.lower()
    except ValueError:
        return False


def lacking(message: str) -> Issues:
    """A 412 to raise: data is needed that neither came nor can be got ("HTTP Response")."""
    return refuse("not-found", message, status=412)
