"""Edits: what a radiologist made of a draft, kept for training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Select, bindparam, select, update

from radbridge.case import CaseKey
from radbridge.edit import Edit
from radbridge.journal.schema import EditState, edits
from radbridge.journal.upsert import insert

_EDIT = TypeAdapter(Edit)
_INSERT = insert(edits)
_SAVE = _INSERT.on_conflict_do_update(
    index_elements=["draft_id"], set_={c: _INSERT.excluded[c] for c in ("state", "document", "signed_at")}
)
_IN_CASE = (edits.c.accession == bindparam("in_accession")) & (edits.c.issuer == bindparam("in_issuer"))
_OF_CASE = select(edits).where(_IN_CASE).order_by(edits.c.seq)
_DROP = update(edits).where(_IN_CASE).values(state=EditState.DROPPED)
_EMPTY = (
    update(edits)
    .where(edits.c.draft_id == bindparam("of_draft"))
    .values(state=bindparam("to_state"), document=bindparam("text"))
)
_KEPT = select(edits).where(edits.c.state == EditState.KEPT).order_by(edits.c.seq)


def save(conn: Connection, key: CaseKey, edit: Edit) -> None:
    """Store an edit; a correction of the signed report replaces the edit of the same draft."""
    conn.execute(
        _SAVE,
        {
            "draft_id": edit.draft_id,
            "issuer": key.issuer,
            "accession": key.accession,
            "state": EditState.KEPT,
            "document": _EDIT.dump_json(edit),
            "signed_at": edit.signed_at,
        },
    )


def drop(conn: Connection, key: CaseKey) -> None:
    """Nothing of this case may be learned from any more."""
    conn.execute(_DROP, {"in_accession": key.accession, "in_issuer": key.issuer})


def forget(conn: Connection, key: CaseKey) -> int:
    """Drop the case's edits, and their texts with them; how many there were that could be learned from."""
    known = of_case(conn, key)
    for edit, _ in known:
        emptied = _EDIT.dump_json(replace(edit, draft="", signed=""))
        conn.execute(_EMPTY, {"of_draft": edit.draft_id, "text": emptied, "to_state": EditState.DROPPED})
    return sum(state is EditState.KEPT for _, state in known)


def signed_by(conn: Connection, radiologist: str) -> list[CaseKey]:
    """The cases in which a radiologist signed over a draft."""
    named = f'"radiologist":{json.dumps(radiologist, ensure_ascii=False)}'.encode()
    rows = conn.execute(select(edits).execution_options(yield_per=500))  # no database looks into a sealed document
    found = ((row, _EDIT.validate_json(row.document)) for row in rows if named in row.document)
    return [CaseKey(accession=r.accession, issuer=r.issuer) for r, edit in found if edit.radiologist == radiologist]


def of_case(conn: Connection, key: CaseKey) -> list[tuple[Edit, EditState]]:
    """The edits of a case."""
    rows = conn.execute(_OF_CASE, {"in_accession": key.accession, "in_issuer": key.issuer})
    return [(_EDIT.validate_json(r.document), EditState(r.state)) for r in rows]


def newest(conn: Connection, key: CaseKey) -> Edit | None:
    """The case's last edit, where it may be learned from."""
    return next((edit for edit, state in reversed(of_case(conn, key)) if state is EditState.KEPT), None)


def kept(conn: Connection) -> Iterator[tuple[CaseKey, Edit]]:
    """Every edit that may be learned from, oldest first."""
    yield from _read(conn, _KEPT)


def _read(conn: Connection, query: Select[Any]) -> Iterator[tuple[CaseKey, Edit]]:
    for row in conn.execute(query.execution_options(yield_per=200)):
        yield CaseKey(accession=row.accession, issuer=row.issuer), _EDIT.validate_json(row.document)
