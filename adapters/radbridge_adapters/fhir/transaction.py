"""Transactions: all of it or nothing, in one commit (R4 http.html#transaction).

Entries are carried out in the standard's order whatever their own, and answered in theirs. Temporary names
(`urn:uuid:`) and references by criteria are put right in every entry once it is decided where the entries go.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from radbridge_adapters.fhir.etag import parse_if_match
from radbridge_adapters.fhir.planning import Decision, Intent
from radbridge_adapters.fhir.route import Found, Router
from radbridge_adapters.fhir.store.find import fetch, find_ids
from radbridge_adapters.fhir.store.index import local_reference
from radbridge_adapters.fhir.types import TYPES
from radbridge_adapters.fhir.writing import read_condition, read_criteria
from radbridge_adapters.resources.bundle import iter_entries, resolve_urns
from radbridge_adapters.resources.outcome import Issue, Issues, refuse
from radbridge_adapters.resources.references import find_references

WRITES = frozenset({"create", "update"})
READS = frozenset({"read", "vread", "search", "history"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry of a batch or a transaction."""

    index: int
    found: Found
    query: Sequence[tuple[str, str]] = field(default=(), repr=False)
    request: Mapping[str, Any] = field(repr=False)
    document: Mapping[str, Any] | None = field(default=None, repr=False)
    full_url: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        """`Bundle.entry[2]`."""
        return f"Bundle.entry[{self.index}]"

    @property
    def is_write(self) -> bool:
        """Whether it stores something."""
        return self.found.route.interaction in WRITES


def read_entry(index: int, entry: Mapping[str, Any], base: str, router: Router) -> Entry:
    """An entry and what it asks for. Raises Issues with its place."""
    request, place = entry["request"], f"Bundle.entry[{index}]"
    url = str(request.get("url", "")).removeprefix(base).strip("/")
    path, _, text = url.partition("?")
    try:
        found = router.find(str(request.get("method")), path)
        query = read_criteria(text)
    except Issues as fault:
        raise at(fault, f"{place}.request.url") from None
    if found.route.interaction not in WRITES | READS or path.endswith("_search"):
        raise refuse("not-supported", "not in a Bundle", expression=f"{place}.request.url", status=400)
    document = entry.get("resource")
    if found.route.interaction in WRITES:
        if document is None:
            raise refuse("required", "there is nothing to store", expression=f"{place}.resource", status=400)
        if document["resourceType"] != found.type:
            raise refuse("invariant", "the address is of another type", expression=f"{place}.request.url", status=400)
    return Entry(
        index=index,
        found=found,
        query=query,
        request=request,
        document=document,
        full_url=str(entry.get("fullUrl", "")),
    )


def at(fault: Issues, place: str) -> Issues:
    """The same problems, with the place of an entry where they name none."""
    issues = (
        Issue(code=i.code, diagnostics=i.diagnostics, severity=i.severity, expression=i.expression or place)
        for i in fault.issues
    )
    return Issues(issues, status=fault.status)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A transaction, before the database is asked."""

    entries: tuple[Entry, ...]
    intents: tuple[Intent, ...]
    """Of the entries that write, creates before updates."""
    writers: tuple[Entry, ...]
    """The entries of the intents."""
    readers: tuple[Entry, ...]
    base: str


def plan(bundle: Mapping[str, Any], base: str, router: Router) -> Plan:
    """The plan of a transaction. Raises Issues with every problem that can be seen without the database."""
    faults: list[Issue] = []
    entries: list[Entry] = []
    for index, entry in enumerate(bundle.get("entry", ())):
        try:
            entries.append(read_entry(index, entry, base, router))
        except Issues as fault:
            faults += fault.issues
    faults += _collisions(entries)
    if faults:
        raise Issues(faults, status=400)
    writers = [e for e in entries if e.is_write]
    writers.sort(key=lambda e: e.request["method"] != "POST")  # sorted() keeps the order among equals
    return Plan(
        entries=tuple(entries),
        intents=tuple(make_intent(e) for e in writers),
        writers=tuple(writers),
        readers=tuple(e for e in entries if not e.is_write),
        base=base,
    )


def make_intent(entry: Entry) -> Intent:
    """What an entry wants to have stored. Raises Issues for conditions that can't be read."""
    method = entry.found.route.method
    try:
        if_none_exist = str(entry.request.get("ifNoneExist", "")).lstrip("?")
        pairs = read_criteria(if_none_exist) if method == "POST" and if_none_exist else entry.query
        is_conditional = bool(pairs) or (method == "PUT" and not entry.found.id)
        return Intent(
            method=method,
            type=entry.found.type,
            id=entry.found.id,
            document=entry.document or {},
            if_match=parse_if_match(str(entry.request.get("ifMatch", ""))) if method == "PUT" else None,
            condition=read_condition(entry.found.type, pairs) if is_conditional else None,
            place=entry.place,
        )
    except Issues as fault:
        raise at(fault, f"{entry.place}.request") from None


def _collisions(entries: Sequence[Entry]) -> list[Issue]:
    """Two entries on one resource: whichever came second would win by chance."""
    seen: set[tuple[str, str]] = set()
    faults = []
    for entry in entries:
        key = (entry.found.type, entry.found.id)
        if entry.is_write and entry.found.id:
            if key in seen:
                place = f"{entry.place}.request.url"
                faults.append(Issue(code="invariant", expression=place, diagnostics="another entry writes this too"))
            seen.add(key)
    return faults


def settle(
    made: Plan, conn: Connection, intents: Sequence[Intent], decisions: Sequence[Decision]
) -> Sequence[Mapping[str, Any]]:
    """The documents with every reference put right.

    Raises Issues (400, 412) for references that lead nowhere: in a transaction nothing of a type that is kept here may
    dangle.
    """
    homes = [f"{i.type}/{d.id}" for i, d in zip(intents, decisions, strict=True)]
    if len(set(homes)) < len(homes):
        raise refuse("invariant", "two entries write one resource", expression="Bundle.entry", status=400)
    named = {e.full_url: home for e, home in zip(made.writers, homes, strict=True) if e.full_url}
    documents = {e.index: copy.deepcopy(dict(e.document or {})) for e in made.writers}
    whole = [{"resource": documents.get(entry.index)} for entry in made.entries]
    bundle = {"entry": whole}
    resolve_urns(bundle, named)
    _resolve_criteria(conn, bundle)
    _forbid_dangling(conn, bundle, made.base, set(homes))
    return [documents[entry.index] for entry in made.writers]


def _resolve_criteria(conn: Connection, bundle: Mapping[str, Any]) -> None:
    for place, reference in _references(bundle):
        kind, mark, text = reference["reference"].partition("?")
        if mark:
            try:
                ids = find_ids(conn, read_condition(kind, read_criteria(text)))
            except Issues as fault:
                raise at(fault, f"{place}.reference") from None
            if len(ids) != 1:
                diagnostics = "the criteria of this reference fit not just one resource"
                raise refuse("processing", diagnostics, expression=f"{place}.reference", status=412)
            reference["reference"] = f"{kind}/{ids[0]}"


def _forbid_dangling(conn: Connection, bundle: Mapping[str, Any], base: str, homes: set[str]) -> None:
    places: dict[tuple[str, str], str] = {}
    for place, reference in _references(bundle):
        target = local_reference(reference["reference"], base)
        kind, _, id = target.partition("/")
        if kind in TYPES and id and "/" not in id and target not in homes:
            places.setdefault((kind, id), place)
    for match in fetch(conn, places):
        del places[match.type, match.id]
    if places:
        issues = (
            Issue(code="value", expression=f"{place}.reference", diagnostics="there is no such resource")
            for place in places.values()
        )
        raise Issues(issues, status=400)


def _references(bundle: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        found
        for place, entry in iter_entries(bundle)
        for found in find_references(entry.get("resource"), f"{place}.resource")
    ]
