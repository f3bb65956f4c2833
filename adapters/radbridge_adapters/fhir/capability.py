"""What this server says of itself: the CapabilityStatement, made from the very tables that it works by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from radbridge import __version__
from radbridge_adapters.fhir.openapi import make_openapi
from radbridge_adapters.fhir.request import Answer, Request
from radbridge_adapters.fhir.route import Route
from radbridge_adapters.fhir.search.params import COMMON, PARAMS, Kind, Param
from radbridge_adapters.fhir.subscriptions.plan import BACKPORT
from radbridge_adapters.fhir.types import TYPES
from radbridge_adapters.resources.codes import CANONICAL, DRAFT_TOPIC
from radbridge_adapters.security import capability_security, smart_configuration
from radbridge_adapters.security.places import Places

_CODES = {
    "read": ("read",),
    "vread": ("vread",),
    "history": ("history-instance",),
    "search": ("search-type",),
    "create": ("create",),
    "update": ("update",),
}
_TOPIC = f"{BACKPORT}/capabilitystatement-subscriptiontopic-canonical"
_OPEN = "This server is open: whoever reaches it may read and write. It is meant for its own machine only."


@dataclass(frozen=True, kw_only=True, slots=True)
class OperationDefinition:
    """An operation that some type has."""

    type: str
    name: str
    definition: str
    """Its canonical URL."""


class Capabilities:
    """Answers the three documents that need no login."""

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        is_open: bool,
        operations: Sequence[OperationDefinition] = (),
        profiles: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`profiles` are canonical URLs by type, of what this server itself writes."""
        self._routes = routes
        self._is_open = is_open
        self._operations = operations
        self._profiles = profiles or {}
        self._since = datetime.now(UTC).isoformat(timespec="seconds")

    async def statement(self, request: Request) -> Answer:
        """The CapabilityStatement (R4 capabilitystatement.html)."""
        return Answer(document=self._statement(request.base))

    async def openapi(self, request: Request) -> Answer:
        """The same as an OpenAPI 3.1 document, for tools that know no FHIR."""
        document = make_openapi(self._routes, request.base)
        return Answer(document=document, headers={"content-type": "application/json"})

    async def smart(self, request: Request) -> Answer:
        """Where tokens are to be had (SMART App Launch 2.2)."""
        scopes = [f"system/{kind}.{_verbs(allowed)}" for kind, allowed in TYPES.items()]
        document = smart_configuration(Places(base=request.base), ["system/*.cruds", *scopes])
        return Answer(document=document, headers={"content-type": "application/json"})

    def _statement(self, base: str) -> dict[str, Any]:
        return {
            "resourceType": "CapabilityStatement",
            "url": f"{CANONICAL}/CapabilityStatement/server",
            "name": "RadBridge",
            "title": "RadBridge: impression drafts beside the RIS",
            "status": "active",
            "date": self._since,
            "kind": "instance",
            "software": {"name": "RadBridge", "version": __version__},
            "implementation": {"description": "RadBridge", "url": base},
            "fhirVersion": "4.0.1",
            "format": ["application/fhir+json", "json"],
            "rest": [
                {
                    "mode": "server",
                    "documentation": "Reports in progress in, unverified drafts of their impression out.",
                    "security": {"description": _OPEN} if self._is_open else capability_security(Places(base=base)),
                    "resource": [self._resource(kind, allowed) for kind, allowed in TYPES.items()],
                    "interaction": [{"code": "transaction"}, {"code": "batch"}],
                    "searchParam": [_describe(name, param) for name, param in COMMON.items()],
                }
            ],
        }

    def _resource(self, kind: str, allowed: frozenset[str]) -> dict[str, Any]:
        codes = [code for name, codes in _CODES.items() if name in allowed for code in codes]
        is_written = "create" in allowed
        told: dict[str, Any] = {
            "type": kind,
            "interaction": [{"code": code} for code in codes],
            "versioning": "versioned",
            "readHistory": True,
            "updateCreate": is_written,
            "conditionalCreate": is_written,
            "conditionalRead": "not-match",
            "conditionalUpdate": is_written,
            "conditionalDelete": "not-supported",
            "referencePolicy": ["literal", "logical"],
            "searchParam": [_describe(name, param) for name, param in PARAMS[kind].items()],
        }
        if kind == "Subscription":
            told = {"extension": [{"url": _TOPIC, "valueCanonical": DRAFT_TOPIC}]} | told
        lists = {
            "supportedProfile": list(self._profiles.get(kind, ())),
            "searchInclude": list(_includes(kind)),
            "searchRevInclude": list(_rev_includes(kind)),
            "operation": [{"name": o.name, "definition": o.definition} for o in self._operations if o.type == kind],
        }
        return told | {name: items for name, items in lists.items() if items}


def _describe(name: str, param: Param) -> dict[str, Any]:
    return {"name": name, "type": param.kind.value, "documentation": param.about}


def _includes(kind: str) -> Iterator[str]:
    return (f"{kind}:{name}" for name, param in PARAMS[kind].items() if param.kind is Kind.REFERENCE)


def _rev_includes(kind: str) -> Iterator[str]:
    """Of the parameters that may point at the type, as far as their names tell."""
    for source, params in PARAMS.items():
        for name, param in params.items():
            if param.kind is Kind.REFERENCE and param.target in ("", kind):
                yield f"{source}:{name}"


def _verbs(allowed: frozenset[str]) -> str:
    letters = {"create": "c", "read": "r", "update": "u", "search": "s"}
    return "".join(letter for name, letter in letters.items() if name in allowed)
