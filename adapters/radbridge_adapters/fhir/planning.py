"""From what a client wants to what is written: decided on a look at the present state, which the commit then verifies.

No database and no socket here: `decide` gets what was seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from radbridge_adapters.fhir.search.query import SearchQuery
from radbridge_adapters.fhir.store.find import find_ids
from radbridge_adapters.fhir.store.read import StoredVersion, newest
from radbridge_adapters.fhir.store.record import Change, Check, Version, is_same, make_version, new_id
from radbridge_adapters.resources.json import read_json
from radbridge_adapters.resources.outcome import Issues, refuse

CREATED, OK = 201, 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """One resource that a client wants to have stored."""

    method: str
    """`POST` or `PUT`."""
    type: str
    id: str = field(default="", repr=False)
    """Of a PUT to an address; empty for a conditional one."""
    document: Mapping[str, Any] = field(repr=False)
    if_match: int | None = None
    """The version that has to be there."""
    condition: SearchQuery | None = field(default=None, repr=False)
    """`If-None-Exist` of a POST, the query of a conditional PUT."""
    place: str = ""
    """`Bundle.entry[2]`, for what is told of it."""

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to look at before."""
        return self.method == "POST" and self.condition is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What was there for one intent."""

    ids: tuple[str, ...] = field(default=(), repr=False)
    """What the condition found: none, one, or two for many."""
    current: StoredVersion | None = None
    """The resource that is meant, if it is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What becomes of one intent."""

    id: str = field(repr=False)
    version: int = 1
    """The version that it becomes."""
    is_new_name: bool = False
    writes: bool = True
    current: StoredVersion | None = None
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one intent."""

    status: int
    type: str
    id: str = field(repr=False)
    version: int
    at: datetime
    raw: bytes = field(repr=False)
    is_new: bool = False
    """Whether this version was written, and didn't stand there."""


def look(conn: Connection, intents: Sequence[Intent]) -> list[Look]:
    """See what is there for each intent."""
    return [_look(conn, intent) for intent in intents]


def _look(conn: Connection, intent: Intent) -> Look:
    if intent.condition is not None:
        ids = find_ids(conn, intent.condition)
        id = (
            ids[0]
            if len(ids) == 1
            else str(intent.document.get("id", ""))
            if intent.method == "PUT" and not ids
            else ""
        )
        return Look(ids=ids, current=newest(conn, intent.type, id) if id else None)
    return Look(current=newest(conn, intent.type, intent.id) if intent.id else None)


def decide(intent: Intent, seen: Look) -> Decision:
    """What is to be done. Raises Issues (400, 412) where the client's conditions don't hold."""
    if len(seen.ids) > 1:
        raise refuse("multiple-matches", "the criteria fit more than one resource", expression=intent.place, status=412)
    checks = (Check(query=intent.condition, ids=seen.ids),) if intent.condition is not None else ()
    if intent.method == "POST":
        if seen.ids:
            return Decision(id=seen.ids[0], writes=False, current=seen.current, checks=checks)
        return Decision(id=new_id(), is_new_name=True, checks=checks)
    return _decide_update(intent, seen, checks)


def _decide_update(intent: Intent, seen: Look, checks: tuple[Check, ...]) -> Decision:
    told = str(intent.document.get("id", ""))
    meant = seen.ids[0] if seen.ids else intent.id or told
    if told and told != meant:
        raise refuse(
            "invariant", "the resource's id is not the one that is updated", expression=_id_of(intent), status=400
        )
    if not told and intent.id:
        raise refuse("required", "an update names the resource's id", expression=_id_of(intent), status=400)
    current = seen.current
    if intent.if_match is not None and (current is None or current.version != intent.if_match):
        raise _conflict(intent)
    if current is None:
        return Decision(id=meant or new_id(), is_new_name=not meant, checks=checks)
    return Decision(id=meant, version=current.version + 1, current=current, checks=checks)


def _conflict(intent: Intent) -> Issues:
    diagnostics = "If-Match names another version than the present one"
    return refuse("conflict", diagnostics, expression=f"{intent.place or intent.type}.meta.versionId", status=412)


def _id_of(intent: Intent) -> str:
    return f"{intent.place}.resource.id" if intent.place else f"{intent.type}.id"


def build(
    intents: Sequence[Intent],
    decisions: Sequence[Decision],
    documents: Sequence[Mapping[str, Any]],
    *,
    client: str,
    base: str,
    peer: str,
) -> tuple[Change, list[Outcome]]:
    """The change to commit, and what each intent comes to once it is committed."""
    versions: list[Version] = []
    outcomes: list[Outcome] = []
    for intent, decision, document in zip(intents, decisions, documents, strict=True):
        current = decision.current
        if current is not None and (not decision.writes or is_same(document, read_json(current.raw))):
            outcomes.append(_stands(current))
            continue
        version = make_version(
            document,
            id=decision.id,
            version=decision.version,
            method=intent.method,
            client=client,
            base=base,
            is_new_name=decision.is_new_name,
        )
        versions.append(version)
        outcomes.append(_becomes(version))
    checks = tuple(check for decision in decisions for check in decision.checks)
    return Change(versions=tuple(versions), checks=checks, peer=peer), outcomes


def _stands(current: StoredVersion) -> Outcome:
    return Outcome(status=OK, type=current.type, id=current.id, version=current.version, at=current.at, raw=current.raw)


def _becomes(version: Version) -> Outcome:
    status = CREATED if version.version == 1 else OK
    return Outcome(
        status=status,
        type=version.type,
        id=version.id,
        version=version.version,
        at=version.at,
        raw=version.raw,
        is_new=True,
    )
