"""Create and update, plain and conditional (R4 http.html#create, #update)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

from radbridge_adapters.fhir.body import Bodies
from radbridge_adapters.fhir.etag import format_etag, parse_if_match
from radbridge_adapters.fhir.execution import Author, Executor
from radbridge_adapters.fhir.planning import Intent, Outcome
from radbridge_adapters.fhir.reading import Reading
from radbridge_adapters.fhir.request import Answer, Request
from radbridge_adapters.fhir.search.query import SearchQuery, parse
from radbridge_adapters.resources.bundle import URN
from radbridge_adapters.resources.outcome import Issue, Issues, outcome_of, refuse
from radbridge_adapters.resources.references import find_references

MAX_CRITERIA = 64
"""Parameters of a conditional interaction's criteria."""


class Writing:
    """Stores what clients send."""

    def __init__(self, executor: Executor, bodies: Bodies, reading: Reading) -> None:
        self._executor = executor
        self._reading = reading
        self._bodies = bodies

    async def create(self, request: Request) -> Answer:
        """POST to a type. A query is taken for If-None-Exist, as fhirpy sends it."""
        document = await self._read(request)
        criteria = request.headers.get("if-none-exist", "").lstrip("?")
        pairs = read_criteria(criteria) if criteria else [p for p in request.query if p[0] != "_format"]
        if pairs:
            request.client.require(request.type, "s")
        condition = read_condition(request.type, pairs) if pairs else None
        intent = Intent(method="POST", type=request.type, document=document, condition=condition)
        [outcome] = await self._executor.execute([intent], author_of(request))
        return self._answer(outcome, request)

    async def update(self, request: Request) -> Answer:
        """PUT to an address, or to a type with criteria."""
        document = await self._read(request)
        condition = None
        if not request.id:
            request.client.require(request.type, "s")
            condition = read_condition(request.type, request.query)
        intent = Intent(
            method="PUT",
            type=request.type,
            id=request.id,
            document=document,
            if_match=parse_if_match(request.headers.get("if-match", "")),
            condition=condition,
        )
        [outcome] = await self._executor.execute([intent], author_of(request))
        return self._answer(outcome, request)

    def _answer(self, outcome: Outcome, request: Request) -> Answer:
        """With as much of the resource as the client prefers."""
        request.views.keep(outcome.type, outcome.id, outcome.version, is_new=outcome.is_new)
        headers = {
            "location": f"{request.base}/{outcome.type}/{outcome.id}/_history/{outcome.version}",
            "etag": format_etag(outcome.version),
            "last-modified": format_datetime(outcome.at.astimezone(UTC), usegmt=True),
        }
        match request.prefers("return"):
            case "minimal":
                return Answer(status=outcome.status, headers=headers)
            case "OperationOutcome":
                done = Issue(severity="information", code="informational", diagnostics="stored")
                return Answer(status=outcome.status, document=outcome_of([done]), headers=headers)
        document = self._reading.show(outcome.type, outcome.raw)
        return Answer(status=outcome.status, document=document, headers=headers)

    async def _read(self, request: Request) -> Mapping[str, Any]:
        document = await self._bodies.parse(request.body)
        if document["resourceType"] != request.type:
            raise refuse("invariant", f"this address takes a {request.type}", expression="resourceType", status=400)
        forbid_temporary(document, request.type)
        return document


def forbid_temporary(document: Mapping[str, Any], place: str) -> None:
    """Raise Issues for references that only a transaction can put right: by criteria, and by `urn:uuid:`."""
    issues = [
        Issue(code="value", expression=f"{found}.reference", diagnostics="such a reference needs a transaction")
        for found, reference in find_references(document, place)
        if "?" in reference["reference"] or reference["reference"].startswith(URN)
    ]
    if issues:
        raise Issues(issues, status=400)


def author_of(request: Request) -> Author:
    """In whose name a request writes."""
    return Author(client=request.client, base=request.base, peer=request.peer)


def read_criteria(text: str) -> list[tuple[str, str]]:
    """`identifier=a|b` as pairs. Raises Issues."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_CRITERIA, errors="strict")
    except ValueError:
        raise refuse("value", "the criteria can't be read") from None


def read_condition(resource_type: str, pairs: Sequence[tuple[str, str]]) -> SearchQuery:
    """The criteria of a conditional interaction. One that nobody knows would match everything: Issues (400)."""
    query = parse(resource_type, pairs, strict=True)
    if not query.terms:
        raise refuse("required", "a conditional interaction needs criteria", status=400)
    return query
