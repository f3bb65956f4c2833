"""Searches as SQL, over the newest version of each resource."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, func, not_, or_, select, tuple_

from radbridge.journal.clock import SpelledTime
from radbridge.journal.schema import resource_index, resource_versions, resources
from radbridge_adapters.fhir.search.params import Kind
from radbridge_adapters.fhir.search.query import SearchQuery, Term, Value
from radbridge_adapters.fhir.store.index import INLINE, fold
from radbridge_adapters.resources.codes import DRAFT_SYSTEM

_r, _v, _first = resources, resource_versions, resource_versions.alias("first")
_HIGHEST = "\U0010ffff"

After = tuple[int | str, str]
"""The sort key and the id of the last match of a page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """A resource that was found."""

    type: str
    id: str = field(repr=False)
    version: int
    raw: bytes = field(repr=False)
    sort_key: int | str = 0


def find_ids(conn: Connection, query: SearchQuery, at_most: int = 2) -> tuple[str, ...]:
    """The ids of the first matches: for conditions, which need to know none, one or more.

    Our drafts are found only by their own identifier: a hospital's `identifier=<accession>` means its own report.
    """
    wanted = select(_r.c.id).where(*_where(query)).order_by(_r.c.id).limit(at_most)
    if not any(value.system == DRAFT_SYSTEM for term in query.terms for value in term.values):
        wanted = wanted.where(_r.c.origin != "draft")
    return tuple(conn.execute(wanted).scalars())


def fits(conn: Connection, query: SearchQuery, id: str) -> bool:
    """Whether a search finds this resource, whoever it is from."""
    return conn.execute(select(_r.c.id).where(_r.c.id == id, *_where(query))).first() is not None


def last_seq(conn: Connection) -> int:
    """The newest version of all: what a search's pages go up to."""
    return int(conn.execute(select(func.coalesce(func.max(_v.c.seq), 0))).scalar_one())


def count(conn: Connection, query: SearchQuery, until: int) -> int:
    """How many resources fit, of those that were made up to the version `until`."""
    return int(conn.execute(_created(select(func.count()), until).where(*_where(query))).scalar_one())


def find_page(
    conn: Connection, query: SearchQuery, *, until: int, after: After | None, at_most: int
) -> Sequence[Match]:
    """The matches behind `after`, in order, of those that were made up to the version `until`.

    In the order of creation a resource stands on one page and no other, whatever is written meanwhile.
    """
    key, descending = _sort_key(query), query.sort[1]
    wanted = _created(select(_r.c.type, _r.c.id, _v.c.version, _v.c.document, key.label("sort_key")), until)
    wanted = wanted.join(_v, _v.c.seq == _r.c.seq).where(*_where(query))
    if after is not None:
        wanted = wanted.where(
            or_(key < after[0] if descending else key > after[0], and_(key == after[0], _r.c.id > after[1]))
        )
    wanted = wanted.order_by(key.desc() if descending else key, _r.c.id).limit(at_most)
    return [_match(row, row.sort_key) for row in conn.execute(wanted)]


def fetch(conn: Connection, keys: Iterable[tuple[str, str]]) -> Sequence[Match]:
    """The newest versions of resources, by type and id; those that aren't here are left out."""
    found: list[Match] = []
    wanted = list(keys)
    for start in range(0, len(wanted), 200):
        chunk = wanted[start : start + 200]
        rows = conn.execute(
            select(_r.c.type, _r.c.id, _v.c.version, _v.c.document)
            .join(_v, _v.c.seq == _r.c.seq)
            .where(tuple_(_r.c.type, _r.c.id).in_(chunk))
        )
        found += map(_match, rows)
    return found


def _match(row: Any, sort_key: int | str = 0) -> Match:
    return Match(type=row.type, id=row.id, version=row.version, raw=row.document, sort_key=sort_key)


def _created(wanted: Select[Any], until: int) -> Select[Any]:
    first = and_(_first.c.type == _r.c.type, _first.c.id == _r.c.id, _first.c.version == 1)
    return wanted.select_from(_r).join(_first, first).where(_first.c.seq <= until)


def _sort_key(query: SearchQuery) -> ColumnElement[Any]:
    name = query.sort[0]
    if not name:
        return _first.c.seq
    if name == "_id":
        return _r.c.id
    if name == "_lastUpdated":
        return SpelledTime(_r.c.at)
    i = resource_index.alias()
    low = select(func.min(i.c.low)).where(i.c.type == query.type, i.c.id == _r.c.id, i.c.param == name)
    return func.coalesce(SpelledTime(low.scalar_subquery()), "")


def _where(query: SearchQuery) -> list[ColumnElement[bool]]:
    return [_r.c.type == query.type, *(_fits(query.type, term) for term in query.terms)]


def _fits(resource_type: str, term: Term) -> ColumnElement[bool]:
    if term.name == "_id":
        return _on_column(term, or_(*(_r.c.id == value.text for value in term.values)))
    if term.name == "_lastUpdated":
        return _on_column(term, or_(*(_at_fits(value) for value in term.values)))
    i = resource_index.alias()
    stored_as = term.param.stored_as
    rows = select(i.c.id).where(i.c.type == resource_type)
    if term.modifier == "missing":
        has_any = _r.c.id.in_(rows.where(i.c.param == stored_as))
        return not_(has_any) if term.values[0].text == "true" else has_any
    if term.chained:
        return _r.c.id.in_(rows.where(i.c.param == stored_as, i.c.value.in_(_pointed_at(term))))
    if term.modifier == "identifier":
        return _r.c.id.in_(rows.where(i.c.param == stored_as + INLINE, or_(*(_is_token(i, v) for v in term.values))))
    one = or_(*(_is_value(i, term, value) for value in term.values))
    fits = _r.c.id.in_(rows.where(i.c.param == stored_as, one))
    return not_(fits) if term.modifier == "not" else fits


def _on_column(term: Term, fits: ColumnElement[bool]) -> ColumnElement[bool]:
    if term.modifier == "missing":
        return _r.c.id.is_(None) if term.values[0].text == "true" else _r.c.id.is_not(None)
    return not_(fits) if term.modifier == "not" else fits


def _pointed_at(term: Term) -> Select[Any]:
    """`Patient/12` of every resource with one of these identifiers, of the type that the parameter points at."""
    t = resource_index.alias()
    wanted = select(t.c.type + "/" + t.c.id).where(
        t.c.param == "identifier", or_(*(_is_token(t, v) for v in term.values))
    )
    return wanted.where(t.c.type == term.param.target) if term.param.target else wanted


def _is_value(i: FromClause, term: Term, value: Value) -> ColumnElement[bool]:
    match term.param.kind:
        case Kind.TOKEN:
            return _is_token(i, value)
        case Kind.DATE:
            return _range_fits(i, value)
        case Kind.STRING:
            return _is_string(i, value, term.modifier)
        case Kind.REFERENCE if "/" not in value.text:
            return or_(*(i.c.value == f"{kind}/{value.text}" for kind in _TARGETS))
    return i.c.value == value.text


_TARGETS = (
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "ServiceRequest",
    "ImagingStudy",
    "Observation",
    "DiagnosticReport",
)
"""What an id without a type may mean."""


def _is_token(i: FromClause, value: Value) -> ColumnElement[bool]:
    if value.system is None:
        return i.c.value == value.text
    if not value.text:
        return i.c.system == value.system
    return and_(i.c.value == value.text, i.c.system == value.system)


def _is_string(i: FromClause, value: Value, modifier: str) -> ColumnElement[bool]:
    if modifier == "exact":
        return and_(i.c.value == fold(value.text), i.c.system == value.text)
    folded = fold(value.text)
    if modifier == "contains":
        return i.c.value.contains(folded, autoescape=True)
    return and_(i.c.value >= folded, i.c.value < folded + _HIGHEST)


def _range_fits(i: FromClause, value: Value) -> ColumnElement[bool]:
    """R4 search.html#prefix, on half-open ranges."""
    within = and_(i.c.low >= value.low, i.c.high <= value.high)
    by_prefix = {
        "eq": within,
        "ne": not_(within),
        "gt": i.c.high > value.high,
        "lt": i.c.low < value.low,
        "ge": or_(i.c.high > value.high, within),
        "le": or_(i.c.low < value.low, within),
        "sa": i.c.low >= value.high,
        "eb": i.c.high <= value.low,
    }
    return by_prefix[value.prefix]


def _at_fits(value: Value) -> ColumnElement[bool]:
    """The same for a moment of a millisecond, which is never longer than what is asked for."""
    low, high = value.low, value.high
    after, before = _r.c.at >= high, _r.c.at < low
    by_prefix = {
        "eq": and_(_r.c.at >= low, _r.c.at < high),
        "ne": or_(before, after),
        "gt": after,
        "sa": after,
        "lt": before,
        "eb": before,
        "ge": _r.c.at >= low,
        "le": _r.c.at < high,
    }
    return by_prefix[value.prefix]
