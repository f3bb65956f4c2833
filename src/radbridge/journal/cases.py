"""Cases: one row per (issuer, accession), the whole `Case` as one JSON document."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import TypeAdapter
from sqlalchemy import Connection, bindparam, select, tuple_

from radbridge.case import Case, CaseKey, CaseState
from radbridge.imaging import fold_id
from radbridge.journal.clock import NOW
from radbridge.journal.schema import cases
from radbridge.journal.upsert import insert

_CASE = TypeAdapter(Case)
_LOAD = select(cases.c.document).where(
    cases.c.accession == bindparam("accession"), cases.c.issuer == bindparam("issuer")
)
_INSERT = insert(cases)
_SAVE = _INSERT.on_conflict_do_update(
    index_elements=["issuer", "accession"],
    set_={c: _INSERT.excluded[c] for c in ("patient_id", "patient_issuer", "state", "document", "updated_at")},
)
_EACH = select(cases.c.patient_id, cases.c.document)
_SAVE_BY_CLOCK = _SAVE.values(updated_at=NOW)
"""Where several gateways save cases, the database's own clock says when."""
_OF_PATIENT = select(cases.c.document).where(cases.c.patient_id == bindparam("patient_id"))
_SIGNED_OF_PATIENT = (
    _OF_PATIENT.where(cases.c.patient_issuer == bindparam("patient_issuer"), cases.c.state == CaseState.SIGNED)
    .order_by(cases.c.updated_at.desc())
    .limit(bindparam("at_most"))
)
_BY_ACCESSION = select(cases.c.document).where(cases.c.accession == bindparam("accession"))
_RECENT = select(cases.c.document, cases.c.updated_at).order_by(cases.c.updated_at.desc()).limit(bindparam("at_most"))
_CHANGED = (
    select(cases.c.document, cases.c.updated_at)
    .where(
        tuple_(cases.c.updated_at, cases.c.accession, cases.c.issuer)
        > tuple_(bindparam("at", type_=cases.c.updated_at.type), bindparam("accession"), bindparam("issuer"))
    )
    .order_by(cases.c.updated_at, cases.c.accession, cases.c.issuer)
    .limit(bindparam("at_most"))
)


def load(conn: Connection, key: CaseKey) -> Case | None:
    """The case, or None when nothing was ever told about it."""
    row = conn.execute(_LOAD, {"accession": key.accession, "issuer": key.issuer}).first()
    return None if row is None else _CASE.validate_json(row.document)


def read_case(document: bytes) -> Case:
    """The case of a document. Raises pydantic's ValidationError."""
    return _CASE.validate_json(document)


def find(conn: Connection, key: CaseKey, patient_id: str) -> Case | None:
    """The case of a message. Some messages of an accession name its issuer and others don't: they mean one case.

    Where the key alone finds none, the only case with that accession will do if just one side names an issuer and both
    speak of the same patient, as far as the RIS told. Two such cases are no answer: a mix-up would harm more than a
    case without its order.
    """
    if (known := load(conn, key)) is not None:
        return known
    candidates = [
        c
        for c in by_accession(conn, key.accession)
        if not (key.issuer and c.key.issuer) and patient_id in ("", c.by_ris.patient.id or patient_id)
    ]
    return candidates[0] if len(candidates) == 1 else None


def save(conn: Connection, case: Case) -> None:
    """Insert or replace the case."""
    is_sole = conn.dialect.name == "sqlite"
    conn.execute(
        _SAVE if is_sole else _SAVE_BY_CLOCK,
        {
            "issuer": case.key.issuer,
            "accession": case.key.accession,
            "patient_id": case.patient.id,
            "patient_issuer": case.patient.issuer,
            "state": case.state,
            "document": _CASE.dump_json(case, exclude_defaults=True),
        }
        | ({"updated_at": datetime.now(UTC)} if is_sole else {}),
    )


def of_patient(conn: Connection, patient_id: str, issuer: str) -> list[Case]:
    """Every case of a patient. An issuer that either side left empty matches any."""
    found = [_CASE.validate_json(r.document) for r in conn.execute(_OF_PATIENT, {"patient_id": patient_id})]
    return [c for c in found if not issuer or not c.patient.issuer or c.patient.issuer == issuer]


def mentioning(conn: Connection, id: str) -> Iterator[Case]:
    """Every case in which a patient's number stands, as theirs or as a former one, and some more: it is a search."""
    wanted = fold_id(id).lower()
    for row in conn.execute(_EACH.execution_options(yield_per=500)):  # no database looks into a sealed document
        if row.patient_id == id or wanted in row.document.decode().lower():
            yield _CASE.validate_json(row.document)


def signed_of_patient(conn: Connection, patient_id: str, issuer: str, *, at_most: int) -> list[Case]:
    """The signed cases of a patient, the last touched first. The issuer has to be the very one."""
    which = {"patient_id": patient_id, "patient_issuer": issuer, "at_most": at_most}
    return [_CASE.validate_json(r.document) for r in conn.execute(_SIGNED_OF_PATIENT, which)]


def by_accession(conn: Connection, accession: str) -> list[Case]:
    """The cases with this accession number, of whatever issuer."""
    return [_CASE.validate_json(r.document) for r in conn.execute(_BY_ACCESSION, {"accession": accession})]


def recent(conn: Connection, at_most: int) -> list[tuple[Case, datetime]]:
    """The cases touched last, newest first."""
    return [(_CASE.validate_json(r.document), r.updated_at) for r in conn.execute(_RECENT, {"at_most": at_most})]


def changed_since(conn: Connection, mark: tuple[datetime, str, str], at_most: int) -> list[tuple[Case, datetime]]:
    """The cases that were changed after `mark`, oldest change first.

    The mark is the last one's time of change, accession and issuer: cases that change at once are told apart by these.
    """
    at, accession, issuer = mark
    rows = conn.execute(_CHANGED, {"at": at, "accession": accession, "issuer": issuer, "at_most": at_most})
    return [(_CASE.validate_json(r.document), r.updated_at) for r in rows]


def is_open(case: Case | None) -> bool:
    """Whether a draft may be made for the case."""
    return case is not None and case.state is CaseState.OPEN
