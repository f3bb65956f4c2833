"""Edits: what a radiologist made of a draft, kept for training."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import TypeAdapter
from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects.sqlite import insert

from radbridge.case import CaseKey
from radbridge.edit import Edit
from radbridge.journal.schema import EditState, edits

_EDIT = TypeAdapter(Edit)
_INSERT = insert(edits)
_SAVE = _INSERT.on_conflict_do_update(
    index_elements=["draft_id"], set_={c: _INSERT.excluded[c] for c in ("state", "document", "signed_at")}
)
_IN_CASE = (edits.c.accession == bindparam("in_accession")) & (edits.c.issuer == bindparam("in_issuer"))
_OF_CASE = select(edits).where(_IN_CASE).order_by(edits.c.seq)
_DROP = update(edits).where(_IN_CASE).values(state=EditState.DROPPED)
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


def of_case(conn: Connection, key: CaseKey) -> list[tuple[Edit, EditState]]:
    """The edits of a case."""
    rows = conn.execute(_OF_CASE, {"in_accession": key.accession, "in_issuer": key.issuer})
    return [(_EDIT.validate_json(r.document), EditState(r.state)) for r in rows]


def kept(conn: Connection) -> Iterator[tuple[CaseKey, Edit]]:
    """Every edit that may be learned from, oldest first."""
    for row in conn.execute(_KEPT.execution_options(yield_per=200)):
        yield CaseKey(accession=row.accession, issuer=row.issuer), _EDIT.validate_json(row.document)
