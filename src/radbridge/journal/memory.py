"""The style memory's reports: what waits to be remembered, and the de-identified texts that are.

A report that is signed anew gets a new number, so that nothing of the former text can come back under the old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, select, update

from radbridge.case import CaseKey
from radbridge.journal.schema import MemoryState, memory
from radbridge.journal.upsert import insert
from radbridge.memory import Remembered

_REPORT = TypeAdapter(Remembered)
_OF_CASE = (memory.c.accession == bindparam("in_accession")) & (memory.c.issuer == bindparam("in_issuer"))
_FORGET = delete(memory).where(_OF_CASE, memory.c.state != MemoryState.BARRED)
_PUT = insert(memory).on_conflict_do_nothing(index_elements=["accession", "issuer"])
_WAITING = (
    select(memory.c.number, memory.c.accession, memory.c.issuer)
    .where(memory.c.state == MemoryState.WAITING)
    .order_by(memory.c.number.desc())
    .limit(bindparam("at_most"))
)
_IS_WAITING = (memory.c.number == bindparam("of_number")) & (memory.c.state == MemoryState.WAITING)
_KEEP = update(memory).where(_IS_WAITING).values(state=MemoryState.KEPT, document=bindparam("text"))
_GIVE_UP = delete(memory).where(_IS_WAITING)
_RENEW = (
    update(memory)
    .where(memory.c.number == bindparam("of_number"), memory.c.state == MemoryState.KEPT)
    .values(state=MemoryState.WAITING, document=b"")
)
_KEPT = (
    select(memory.c.number, memory.c.document)
    .where(memory.c.state == MemoryState.KEPT, memory.c.number < bindparam("before"))
    .order_by(memory.c.number.desc())
    .limit(bindparam("at_most"))
)
_SIGNED_BY = select(memory.c.accession, memory.c.issuer).where(memory.c.signer == bindparam("of_signer"))
_BY_NUMBER = select(memory.c.number, memory.c.accession, memory.c.issuer, memory.c.document).where(
    memory.c.state == MemoryState.KEPT, memory.c.number.in_(bindparam("numbers", expanding=True))
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """A signed report that waits to be remembered."""

    number: int
    key: CaseKey


def expect(conn: Connection, key: CaseKey, *, signer: str, signed_at: datetime) -> None:
    """The case's report is to be remembered, unless it is barred. What was remembered has to be forgotten before."""
    _put(conn, key, MemoryState.WAITING, signer, signed_at)


def bar(conn: Connection, key: CaseKey, *, at: datetime) -> None:
    """No report of this case may ever be remembered."""
    forget(conn, key)
    _put(conn, key, MemoryState.BARRED, "", at)


def _put(conn: Connection, key: CaseKey, state: MemoryState, signer: str, at: datetime) -> None:
    row = {"accession": key.accession, "issuer": key.issuer, "signer": signer, "signed_at": at}
    conn.execute(_PUT, row | {"state": state, "document": b""})


def forget(conn: Connection, key: CaseKey) -> bool:
    """Nothing of this case may be shown as an example any more. Whether there was anything."""
    return conn.execute(_FORGET, {"in_accession": key.accession, "in_issuer": key.issuer}).rowcount > 0


def forget_signer(conn: Connection, signer: str) -> int:
    """Forget all that a radiologist signed; how many reports that were."""
    return _forget_where(conn, memory.c.signer == signer)


def forget_before(conn: Connection, at: datetime) -> int:
    """Forget all that was signed before `at`; how many reports that were."""
    return _forget_where(conn, memory.c.signed_at < at)


def forget_all(conn: Connection) -> int:
    """Forget every report; how many there were."""
    return _forget_where(conn, memory.c.number > 0)


def waiting(conn: Connection, at_most: int) -> list[Expected]:
    """The reports that wait to be remembered, the newest first."""
    return [
        Expected(number=row.number, key=CaseKey(accession=row.accession, issuer=row.issuer))
        for row in conn.execute(_WAITING, {"at_most": at_most})
    ]


def keep(conn: Connection, reports: Sequence[Remembered]) -> list[bool]:
    """Keep reports that still wait; for each, whether it did: one that was corrected or forgotten meanwhile doesn't."""
    return [
        conn.execute(_KEEP, {"of_number": report.number, "text": _REPORT.dump_json(report)}).rowcount == 1
        for report in reports
    ]


def give_up(conn: Connection, numbers: Sequence[int]) -> list[None]:
    """Reports that waited and aren't to be remembered after all."""
    for number in numbers:
        conn.execute(_GIVE_UP, {"of_number": number})
    return [None] * len(numbers)


def renew(conn: Connection, numbers: Sequence[int]) -> list[bool]:
    """Texts that can't be read are dropped, and their reports wait anew; for each, whether it was there."""
    return [conn.execute(_RENEW, {"of_number": number}).rowcount == 1 for number in numbers]


def kept(conn: Connection, before: int, at_most: int) -> dict[int, Remembered | None]:
    """The remembered reports with a number below `before`, the newest first; None for one that can't be read."""
    rows = conn.execute(_KEPT, {"before": before, "at_most": at_most})
    return {row.number: _read(row.document) for row in rows}


def load(conn: Connection, numbers: Sequence[int]) -> dict[int, tuple[CaseKey, Remembered]]:
    """Those of the reports that are still remembered and can be read, by number, and whose case each is."""
    rows = conn.execute(_BY_NUMBER, {"numbers": list(numbers)})
    found = ((r.number, CaseKey(accession=r.accession, issuer=r.issuer), _read(r.document)) for r in rows)
    return {number: (key, report) for number, key, report in found if report is not None}


def signed_by(conn: Connection, signer: str) -> list[CaseKey]:
    """The cases of a radiologist's reports that are remembered, or wait to be."""
    rows = conn.execute(_SIGNED_BY, {"of_signer": signer})
    return [CaseKey(accession=row.accession, issuer=row.issuer) for row in rows]


def count(conn: Connection) -> int:
    """How many reports are remembered."""
    query = select(func.count()).select_from(memory).where(memory.c.state == MemoryState.KEPT)
    return int(conn.execute(query).scalar_one())


def numbers(conn: Connection) -> list[int]:
    """The numbers of all reports that are remembered."""
    return list(conn.execute(select(memory.c.number).where(memory.c.state == MemoryState.KEPT)).scalars())


def _read(document: bytes) -> Remembered | None:
    """A report; None for the bytes of a broken file, or of a version that isn't this one."""
    try:
        return _REPORT.validate_json(document)
    except ValidationError:
        return None


def _forget_where(conn: Connection, condition: ColumnElement[Any]) -> int:
    return conn.execute(delete(memory).where(condition, memory.c.state != MemoryState.BARRED)).rowcount
