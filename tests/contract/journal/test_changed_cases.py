"""Cases by the time of their last change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, update

from radbridge.case import Case, CaseKey
from radbridge.journal import Journal, cases
from radbridge.journal.schema import cases as case_rows

AT = datetime(2026, 3, 1, 10, 15, tzinfo=UTC)


def _save(conn: Connection, batches: Sequence[Sequence[tuple[CaseKey, datetime]]]) -> list[None]:
    for batch in batches:
        for key, at in batch:
            cases.save(conn, Case(key=key))
            where = (case_rows.c.accession == key.accession) & (case_rows.c.issuer == key.issuer)
            conn.execute(update(case_rows).where(where).values(updated_at=at))
    return [None] * len(batches)


async def test_every_change_is_met_once(journal: Journal) -> None:
    """Going from mark to mark meets each case once, in the order of change, also those that changed at once."""
    at_once = [(CaseKey(accession=f"A{n % 5}", issuer=str(n // 5)), AT) for n in range(15)]
    later = [(CaseKey(accession="A0", issuer="later"), AT + timedelta(microseconds=1))]
    await journal.write(_save, [*later, *at_once])
    mark, met = (AT - timedelta(hours=1), "", ""), list[CaseKey]()
    while found := journal.read_now(lambda conn: cases.changed_since(conn, mark, 4)):  # noqa: B023 - called at once
        met += [case.key for case, _ in found]
        last, at = found[-1]
        mark = (at, last.key.accession, last.key.issuer)
    assert met == [*sorted(key for key, _ in at_once), later[0][0]]
