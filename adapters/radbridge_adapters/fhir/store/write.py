"""What a request writes, committed: versions, what they are found by, and the messages that they are.

Everything that costs time is done before: documents are checked, made and indexed on the event loop or in a thread,
after a look at the present state. Here, in the journal's one writer thread, it is only asked whether that look still
holds. Where it doesn't, the caller looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from radbridge.journal import audit
from radbridge.journal.locks import Lock, hold
from radbridge.journal.schema import resource_index, resource_versions, resources
from radbridge.journal.upsert import insert as upsert
from radbridge.wire import Desk
from radbridge_adapters.fhir.store.find import find_ids, last_seq
from radbridge_adapters.fhir.store.index import IndexRow
from radbridge_adapters.fhir.store.record import Change, Version
from radbridge_adapters.fhir.store.snapshots import Snapshots
from radbridge_adapters.resources.accession import Accessions

_ADD_VERSION = insert(resource_versions)
_ADD_ROW = insert(resource_index)
_ADD = insert(resources)
_UPSERT = upsert(resources)
_SET = _UPSERT.on_conflict_do_update(
    index_elements=["type", "id"], set_={c: _UPSERT.excluded[c] for c in ("version", "seq", "at", "origin")}
)
_VERSION = select(resources.c.version).where(
    resources.c.type == bindparam("of_type"), resources.c.id == bindparam("of_id")
)
_FORGET_ROWS = delete(resource_index).where(
    resource_index.c.type == bindparam("of_type"), resource_index.c.id == bindparam("of_id")
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A version that was written, and its place among all versions."""

    seq: int
    version: Version = field(repr=False)


Hook = Callable[[Connection, Sequence[Stored]], None]
"""Called in the transaction with what it stored."""


class Vault:
    """Writes changes of resources. `commit` is the only way in."""

    def __init__(
        self,
        desk: Desk,
        accessions: Accessions,
        hooks: Sequence[Hook] = (),
        on_commit: Callable[[], None] = lambda: None,
    ) -> None:
        """Each of `hooks` is told of every version, inside the transaction that stores it; `on_commit` after it."""
        self._desk = desk
        self._accessions = accessions
        self._hooks = hooks
        self._on_commit = on_commit

    async def commit(self, change: Change) -> bool:
        """Write all of it, durably. False: what it was planned on has changed, and nothing was written.

        Raises JournalError.
        """
        done = await self._desk.commit(self._write, change)
        if done:
            self._on_commit()
        return done

    def _write(self, conn: Connection, changes: Sequence[Change]) -> list[bool]:
        hold(conn, Lock.FHIR, [""])  # versions are numbered without gaps, and a look holds until it is acted upon
        done: list[bool] = []
        for is_plain, group in groupby(changes, key=lambda change: change.is_plain):
            for chunk in [list(group)] if is_plain else [[change] for change in group]:
                holds = is_plain or _holds(conn, chunk[0])
                if holds:
                    self._store(conn, chunk)
                done += [holds] * len(chunk)
        return done

    def _store(self, conn: Connection, changes: Sequence[Change]) -> None:
        versions = [version for change in changes for version in change.versions]
        if not versions:
            return
        first = last_seq(conn) + 1
        stored = [Stored(seq=first + n, version=version) for n, version in enumerate(versions)]
        _insert(conn, stored)
        snapshots = Snapshots(conn, self._accessions, versions)
        snapshots.journal(changes[0].peer)
        audit.note(conn, [note for change in changes for note in change.notes])
        for hook in self._hooks:
            hook(conn, stored)


def _holds(conn: Connection, change: Change) -> bool:
    """Whether each resource still has the version before, and each search still finds what it found."""
    for version in change.versions:
        if not version.is_new_name:
            now = conn.execute(_VERSION, {"of_type": version.type, "of_id": version.id}).scalar()
            if (now or 0) != version.version - 1:
                return False
    return all(find_ids(conn, check.query) == check.ids for check in change.checks)


def _insert(conn: Connection, stored: Sequence[Stored]) -> None:
    conn.execute(_ADD_VERSION, [_version_row(s) for s in stored])
    for is_first, group in groupby(stored, key=lambda s: s.version.version == 1):
        conn.execute(_ADD if is_first else _SET, [_resource_row(s) for s in group])
    later = [s.version for s in stored if s.version.version > 1]
    if later:
        conn.execute(_FORGET_ROWS, [{"of_type": v.type, "of_id": v.id} for v in later])
    # Most rows hold no date: left out, it needs no processing.
    plain = [_index_row(s.version, row) for s in stored for row in s.version.rows if row.low is None]
    dated = [
        _index_row(s.version, row) | {"low": row.low, "high": row.high}
        for s in stored
        for row in s.version.rows
        if row.low is not None
    ]
    for rows in (plain, dated):
        if rows:
            conn.execute(_ADD_ROW, rows)


def _index_row(version: Version, row: IndexRow) -> dict[str, Any]:
    return {"type": version.type, "id": version.id, "param": row.param, "system": row.system, "value": row.value}


def _version_row(stored: Stored) -> dict[str, Any]:
    version = stored.version
    return _resource_row(stored) | {"method": version.method, "client": version.client, "document": version.raw}


def _resource_row(stored: Stored) -> dict[str, Any]:
    v = stored.version
    return {"type": v.type, "id": v.id, "version": v.version, "seq": stored.seq, "at": v.at, "origin": v.origin}
