"""Searches (R4 search.html): one type, in pages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

import orjson
from sqlalchemy import Connection

from radbridge.journal import secrets
from radbridge.wire import Store
from radbridge_adapters.fhir.negotiate import check_form
from radbridge_adapters.fhir.reading import Reading
from radbridge_adapters.fhir.request import Answer, Request
from radbridge_adapters.fhir.search.page import SECRET, Cursor, CursorBox
from radbridge_adapters.fhir.search.query import SearchQuery, parse
from radbridge_adapters.fhir.store.find import After, Match, count, find_page, last_seq
from radbridge_adapters.fhir.store.include import MAX_INCLUDED, find_included
from radbridge_adapters.fhir.writing import read_criteria
from radbridge_adapters.resources.json import read_json
from radbridge_adapters.resources.outcome import Issue, outcome_of

_KEPT = frozenset({"resourceType", "id", "meta"})
_SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    until: int
    total: int | None
    matches: Sequence[Match]
    has_more: bool
    included: Sequence[Match] = ()
    is_cut: bool = False


class Searching:
    """Finds resources."""

    def __init__(self, store: Store, reading: Reading, page_size: int) -> None:
        self._store = store
        self._reading = reading
        self._page_size = page_size
        self._box: CursorBox | None = None
        self._opening = asyncio.Lock()

    async def search(self, request: Request) -> Answer:
        """A page of the matches. The parameters may be posted, which is the way without patients in URLs."""
        pairs, cursor = await self._read(request)
        query = parse(request.type, pairs, base=request.base, strict=request.prefers("handling") == "strict")
        for term in query.terms:
            if term.chained:  # it tells something of what the reference points at
                request.client.require("ServiceRequest" if term.name.startswith("based-on") else "Patient", "s")
        found: _Found = await self._store.read(partial(self._find, request, query, cursor))
        for one in (*found.matches, *found.included):
            request.views.add(one.type, one.id, one.version)
        links = [{"relation": "self", "url": _self_link(request, query)}]
        if found.has_more:
            last = found.matches[-1]
            after = Cursor(
                type=request.type,
                client=request.client.id,
                pairs=pairs,
                until=found.until,
                after=(last.sort_key, last.id),
            )
            token = (await self._open()).seal(after)
            links.append({"relation": "next", "url": f"{request.base}/{request.type}?_page={token}"})
        return Answer(document=self._bundle(request, query, found, links))

    async def _read(self, request: Request) -> tuple[Sequence[tuple[str, str]], Cursor | None]:
        pairs = list(request.query)
        if request.method == "POST":
            check_form(request)
            pairs += read_criteria(request.body.decode("ascii", "replace"))
        token = next((value for name, value in pairs if name == "_page"), None)
        if token is None:
            return pairs, None
        cursor = (await self._open()).open(token, type=request.type, client=request.client.id)
        return cursor.pairs, cursor

    async def _open(self) -> CursorBox:
        async with self._opening:
            if self._box is None:
                await self._store.write(secrets.make, SECRET)
                self._box = CursorBox(await self._store.read(lambda conn: secrets.read(conn, SECRET)))
            return self._box

    def _find(self, request: Request, query: SearchQuery, cursor: Cursor | None, conn: Connection) -> _Found:
        until = cursor.until if cursor else last_seq(conn)
        after: After | None = cursor.after if cursor else None
        size = self._page_size if query.count is None else query.count
        total = count(conn, query, until) if query.total or not size else None
        if not size:
            return _Found(until=until, total=total, matches=(), has_more=False)
        matches = find_page(conn, query, until=until, after=after, at_most=size + 1)
        page = matches[:size]
        included, is_cut = find_included(conn, query.includes, page, lambda kind: request.client.may(kind, "r"))
        return _Found(
            until=until,
            total=total,
            matches=page,
            has_more=len(matches) > size,
            included=included,
            is_cut=is_cut,
        )

    def _bundle(
        self, request: Request, query: SearchQuery, found: _Found, links: Sequence[Mapping[str, str]]
    ) -> dict[str, Any]:
        entries = [self._entry(request, query, match, "match") for match in found.matches]
        entries += [self._entry(request, query, match, "include") for match in found.included]
        if found.is_cut:
            told = Issue(severity="warning", code="too-costly", diagnostics=f"only {MAX_INCLUDED} resources come along")
            entries.append({"resource": outcome_of([told]), "search": {"mode": "outcome"}})
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
        bundle |= {"total": found.total} if found.total is not None else {}
        return bundle | {"link": links} | ({"entry": entries} if entries else {})

    def _entry(self, request: Request, query: SearchQuery, match: Match, mode: str) -> dict[str, Any]:
        raw = self._reading.show(match.type, match.raw)
        return {
            "fullUrl": f"{request.base}/{match.type}/{match.id}",
            "resource": orjson.Fragment(raw) if not query.elements else _subset(raw, query.elements),
            "search": {"mode": mode},
        }


def _self_link(request: Request, query: SearchQuery) -> str:
    parameters = urlencode(query.applied)
    return f"{request.base}/{request.type}" + (f"?{parameters}" if parameters else "")


def _subset(raw: bytes, elements: Sequence[str]) -> dict[str, Any]:
    """A resource with only these elements, and marked as such (R4 search.html#elements)."""
    document = read_json(raw)
    wanted = _KEPT | set(elements) | {f"_{name}" for name in elements}
    kept = {name: value for name, value in document.items() if name in wanted}
    meta = kept.get("meta", {})
    return kept | {"meta": {**meta, "tag": [*meta.get("tag", ()), _SUBSETTED]}}
