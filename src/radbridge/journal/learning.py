"""What training learns from: the style memory's reports, with what became of their drafts.

No text is read but the memory's own: what left the memory, or was never let into it, can't be learned from. Of a case
only its modality, sex, age and a pseudonym of its patient come in.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, and_, bindparam, func, select, tuple_

from radbridge.case import Case, CaseKey
from radbridge.deidentify import OLDEST_AGE
from radbridge.draft import DraftImpression
from radbridge.edit import Edit, diff_words
from radbridge.imaging import fold_id
from radbridge.journal.schema import EditState, MemoryState, cases, drafts, edits, memory
from radbridge.learning import TrainingReport, judge_reports
from radbridge.memory import Remembered

_CASE, _EDIT = TypeAdapter(Case), TypeAdapter(Edit)
_DRAFT, _REPORT = TypeAdapter(DraftImpression), TypeAdapter(Remembered)
_DIGITS = 16
_KEPT = memory.c.state == MemoryState.KEPT
_OF_SIGNER = memory.c.signer == bindparam("of_signer")
_SAME_CASE = and_(cases.c.accession == memory.c.accession, cases.c.issuer == memory.c.issuer)
_LEARNABLE = and_(
    edits.c.accession == memory.c.accession, edits.c.issuer == memory.c.issuer, edits.c.state == EditState.KEPT
)
_ROWS = (
    select(
        memory.c.number,
        memory.c.accession,
        memory.c.issuer,
        memory.c.document.label("report"),
        cases.c.document.label("case"),
        edits.c.document.label("edit"),
        drafts.c.document.label("draft"),
    )
    .join(cases, _SAME_CASE)
    .outerjoin(edits, _LEARNABLE)
    .outerjoin(drafts, drafts.c.id == edits.c.draft_id)
    .where(_KEPT, _OF_SIGNER)
    .order_by(memory.c.number, edits.c.seq)
)
_COUNTS = select(memory.c.signer, func.count().label("reports")).where(_KEPT).group_by(memory.c.signer)
_NEWER = select(func.count()).where(_KEPT, _OF_SIGNER, memory.c.number > bindparam("above"))
_KEYS = select(memory.c.accession, memory.c.issuer).where(memory.c.state != MemoryState.BARRED)
_SPAN = select(func.min(memory.c.signed_at), func.max(memory.c.signed_at)).where(
    tuple_(memory.c.accession, memory.c.issuer).in_(bindparam("keys", expanding=True))
)
_THERE = select(func.count()).where(
    memory.c.state != MemoryState.BARRED,
    tuple_(memory.c.accession, memory.c.issuer).in_(bindparam("keys", expanding=True)),
)
_AT_ONCE = 200


def read_reports(
    conn: Connection, *, secret: bytes, radiologist: str, consent: Callable[[str], bool]
) -> list[TrainingReport]:
    """What a radiologist signed, in the order of signing, with what each report may teach.

    `secret` is the site's, for pseudonyms; `consent` says whether somebody's reports may be learned from at all.
    """
    may_learn = consent(radiologist)
    rows = conn.execute(_ROWS.execution_options(yield_per=_AT_ONCE), {"of_signer": radiologist})
    newest = (list(of_number)[-1] for _, of_number in groupby(rows, key=lambda row: row.number))
    return judge_reports(list(_read(newest, secret, may_learn=may_learn)))


def count_reports(conn: Connection) -> Mapping[str, int]:
    """How many reports are remembered, by signer."""
    return {row.signer: row.reports for row in conn.execute(_COUNTS)}


def count_newer(conn: Connection, radiologist: str, order: int) -> int:
    """How many reports of a radiologist are remembered that were signed after the one of that order."""
    return int(conn.execute(_NEWER, {"of_signer": radiologist, "above": order}).scalar_one())


def keys_of(conn: Connection, ids: Collection[str], *, secret: bytes) -> list[CaseKey]:
    """The cases that training reports are of; those that were withdrawn meanwhile, or forgotten, are left out."""
    wanted = frozenset(ids)
    keys = (CaseKey(accession=row.accession, issuer=row.issuer) for row in conn.execute(_KEYS))
    return [key for key in keys if name_report(key, secret) in wanted]


def count_kept(conn: Connection, keys: Collection[CaseKey]) -> int:
    """Of how many of these cases a report is remembered, or waits to be."""
    wanted = [(key.accession, key.issuer) for key in keys]
    blocks = (wanted[i : i + _AT_ONCE] for i in range(0, len(wanted), _AT_ONCE))
    return sum(int(conn.execute(_THERE, {"keys": block}).scalar_one()) for block in blocks)


def signed_between(conn: Connection, keys: Iterable[CaseKey]) -> tuple[datetime, datetime] | None:
    """When the first and the last of the remembered reports of these cases were signed; None where there are none."""
    first, last = conn.execute(_SPAN, {"keys": [(key.accession, key.issuer) for key in keys]}).one()
    return None if first is None else (first, last)


def name_report(key: CaseKey, secret: bytes) -> str:
    """What a case's report is called in training: always the same, and nobody can tell which accession it is."""
    return _hide(f"{key.accession}\0{key.issuer}", secret)


def _read(rows: Iterable[Any], secret: bytes, *, may_learn: bool) -> Iterator[TrainingReport]:
    for row in rows:
        try:
            report, case = _REPORT.validate_json(row.report), _CASE.validate_json(row.case)
        except ValidationError:  # the memory's own restart scrubs it anew
            continue
        edit = _EDIT.validate_json(row.edit) if row.edit else None
        draft = _DRAFT.validate_json(row.draft) if row.draft else None
        yield _join(report, case, edit, draft, secret, may_learn=may_learn)


def _join(
    report: Remembered,
    case: Case,
    edit: Edit | None,
    draft: DraftImpression | None,
    secret: bytes,
    *,
    may_learn: bool,
) -> TrainingReport:
    patient = fold_id(case.patient.id)
    drafted = report.draft if edit else ""
    return TrainingReport(
        id=name_report(case.key, secret),
        order=report.number,
        radiologist=report.signer,
        patient=_hide(f"patient\0{patient}", secret) if patient else "",
        findings=report.findings,
        signed=report.impression,
        indication=report.indication,
        comparison=report.comparison,
        prior=report.prior,
        modality=case.study.modality,
        sex=case.patient.sex.value,
        age=None if case.age is None else min(case.age, OLDEST_AGE),
        draft=drafted,
        outcome=edit.outcome.value if edit else "",
        distance=edit.distance if edit else None,
        script=tuple((run.change.value, " ".join(run.words)) for run in _diff(drafted, report.impression)),
        lora=edit.lora if edit else "",
        asked=draft.asked if draft else "",
        model=edit.model if edit else "",
        prompt_version=edit.prompt_version if edit else "",
        stage=draft.stage.value if draft else "",
        strategy=draft.strategy if draft else "",
        flags=tuple(dict.fromkeys(flag.kind for flag in draft.flags)) if draft else (),
        corrected=report.corrected,
        consent=may_learn,
        message=report.message,
        draft_id=edit.draft_id if edit else "",
    )


def _diff(draft: str, signed: str) -> list[Any]:
    return list(diff_words(draft, signed)) if draft else []


def _hide(what: str, secret: bytes) -> str:
    return hmac.new(secret, what.encode(), hashlib.sha256).hexdigest()[:_DIGITS]
