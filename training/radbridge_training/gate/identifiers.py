"""What patients that were learned from are told by: read from the journal by the driver, held in memory alone.

Training reports are scrubbed of all this; here is looked whether a name came through, and out again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from sqlalchemy import Connection

from radbridge.case import Case
from radbridge.journal import cases
from radbridge.journal.learning import keys_of
from radbridge.namesakes import EPONYMS, ORDINARY

_PART = re.compile(r"[^\W_]+")
_LEAST = 4
"""Letters or digits of what tells anybody apart."""


def find_identifiers(conn: Connection, ids: Collection[str], *, secret: bytes) -> frozenset[str]:
    """Parts of names, and numbers, of the patients of these training reports; none that is a word of reports too."""
    found = (cases.load(conn, key) for key in keys_of(conn, ids, secret=secret))
    return frozenset(part for case in found if case for part in _list_parts(case) if len(part) >= _LEAST)


def _list_parts(case: Case) -> Iterator[str]:
    names = {part.casefold() for part in _PART.findall(case.patient.name)}
    yield from (name for name in names if not name.isdigit() and name not in ORDINARY | EPONYMS)
    numbers = (case.patient.id, *case.patient.other_ids, case.key.accession, case.order.placer, case.order.filler)
    yield from (part for number in numbers for part in _PART.findall(number) if any(map(str.isdigit, part)))
