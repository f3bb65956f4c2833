"""What comes along with the matches of a search (R4 search.html#revinclude)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection, select

from radbridge.journal.schema import resource_index
from radbridge_adapters.fhir.search.params import PARAMS, references_of
from radbridge_adapters.fhir.search.query import Include
from radbridge_adapters.fhir.store.find import Match, fetch

MAX_INCLUDED = 500
HOPS = 3
"""Of `:iterate`."""

Key = tuple[str, str]
MayRead = Callable[[str], bool]
_i = resource_index


def find_included(
    conn: Connection, includes: Sequence[Include], matches: Sequence[Match], may_read: MayRead
) -> tuple[list[Match], bool]:
    """The resources that come along, each once, and whether there were more than may come.

    Types that the client may not read are left out.
    """
    seen: set[Key] = {(m.type, m.id) for m in matches}
    found: list[Match] = []
    edge: Sequence[Match] = matches
    for hop in range(HOPS):
        wanted = [include for include in includes if hop == 0 or include.iterate]
        keys = {key for include in wanted for key in _keys(conn, include, edge)}
        new = sorted(key for key in keys - seen if key[0] in PARAMS and may_read(key[0]))
        if not new:
            break
        room = MAX_INCLUDED - len(found)
        edge = sorted(fetch(conn, new[:room]), key=lambda match: (match.type, match.id))
        found += edge
        seen |= set(new)
        if len(new) > room:
            return found, True
    return found, False


def _keys(conn: Connection, include: Include, around: Sequence[Match]) -> Iterable[Key]:
    return _pointing(conn, include, around) if include.reverse else _pointed(conn, include, around)


def _pointed(conn: Connection, include: Include, sources: Sequence[Match]) -> Iterable[Key]:
    """What the sources point at."""
    ids = [source.id for source in sources if source.type == include.source]
    for chunk in _chunks(ids):
        rows = select(_i.c.value).where(
            _i.c.type == include.source, _i.c.id.in_(chunk), _i.c.param.in_(_stored(include))
        )
        for value in conn.execute(rows).scalars():
            kind, _, id = value.partition("/")
            if "/" not in id and include.target in ("", kind):
                yield kind, id


def _pointing(conn: Connection, include: Include, targets: Sequence[Match]) -> Iterable[Key]:
    """What points at the targets."""
    names = [f"{target.type}/{target.id}" for target in targets if include.target in ("", target.type)]
    for chunk in _chunks(names):
        rows = select(_i.c.id).where(
            _i.c.type == include.source, _i.c.param.in_(_stored(include)), _i.c.value.in_(chunk)
        )
        for id in conn.execute(rows.limit(MAX_INCLUDED + 1)).scalars():
            yield include.source, id


def _stored(include: Include) -> Sequence[str]:
    if include.param == "*":
        return references_of(include.source)
    return (PARAMS[include.source][include.param].stored_as,)


def _chunks(items: Sequence[str]) -> Iterable[Sequence[str]]:
    return (items[start : start + 200] for start in range(0, len(items), 200))
