"""Single resources and their past."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, tuple_

from radbridge.journal.schema import resource_versions, resources

_v, _r = resource_versions, resources
_COLUMNS = (_v.c.seq, _v.c.type, _v.c.id, _v.c.version, _v.c.at, _v.c.method, _v.c.origin, _v.c.document)
_IS = (_v.c.type == bindparam("of_type")) & (_v.c.id == bindparam("of_id"))
_NEWEST = (
    select(*_COLUMNS)
    .join(_r, _r.c.seq == _v.c.seq)
    .where(_r.c.type == bindparam("of_type"), _r.c.id == bindparam("of_id"))
)
_ONE = select(*_COLUMNS).where(_IS, _v.c.version == bindparam("of_version"))
_PAST = (
    select(*_COLUMNS)
    .where(_IS, _v.c.version < bindparam("before"))
    .order_by(_v.c.version.desc())
    .limit(bindparam("at_most"))
)
_COUNT = select(func.count()).where(_IS)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredVersion:
    """A version as it lies in the database."""

    seq: int
    type: str
    id: str = field(repr=False)
    version: int
    at: datetime
    method: str
    origin: str
    raw: bytes = field(repr=False)


def newest(conn: Connection, resource_type: str, id: str) -> StoredVersion | None:
    """The present state of a resource."""
    return _read(conn.execute(_NEWEST, {"of_type": resource_type, "of_id": id}).first())


def version_of(conn: Connection, resource_type: str, id: str, version: int) -> StoredVersion | None:
    """One version of a resource."""
    return _read(conn.execute(_ONE, {"of_type": resource_type, "of_id": id, "of_version": version}).first())


def versions_of(conn: Connection, keys: Sequence[tuple[str, str, int]]) -> Sequence[StoredVersion]:
    """Versions of any resources, by type, id and number, in one query; those that aren't here are left out."""
    rows = conn.execute(select(*_COLUMNS).where(tuple_(_v.c.type, _v.c.id, _v.c.version).in_(keys)))
    return [version for row in rows if (version := _read(row))]


def past_of(conn: Connection, resource_type: str, id: str, *, before: int, at_most: int) -> Sequence[StoredVersion]:
    """Versions below `before`, newest first."""
    rows = conn.execute(_PAST, {"of_type": resource_type, "of_id": id, "before": before, "at_most": at_most})
    return [version for row in rows if (version := _read(row))]


def count_versions(conn: Connection, resource_type: str, id: str) -> int:
    """How many versions a resource has."""
    return conn.execute(_COUNT, {"of_type": resource_type, "of_id": id}).scalar_one()


def _read(row: Any) -> StoredVersion | None:
    if row is None:
        return None
    return StoredVersion(
        seq=row.seq,
        type=row.type,
        id=row.id,
        version=row.version,
        at=row.at,
        method=row.method,
        origin=row.origin,
        raw=row.document,
    )
