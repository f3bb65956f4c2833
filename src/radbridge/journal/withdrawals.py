"""Who may not be learned from: their reports leave the memory for good, and every LoRA that has seen one is marked.

A withdrawal is kept as a name under the site's secret, so that a report which is sent again doesn't come back, and the
table tells nobody who withdrew.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, bindparam, select

from radbridge.case import Case, CaseKey, Patient
from radbridge.events import PatientsMerged
from radbridge.imaging import fold_id
from radbridge.journal import cases, edits, memory, secrets, sources
from radbridge.journal.locks import Lock, hold
from radbridge.journal.schema import withdrawals
from radbridge.journal.sources import Mark
from radbridge.journal.upsert import insert


class Kind(StrEnum):
    """Whose reports may not be learned from."""

    PATIENT = "patient"
    RADIOLOGIST = "radiologist"


ACTOR = "gateway"
_ANY = ""
"""In the place of an issuer: whoever issued the number."""
_UNTOLD = "?"
"""In its place too: a number that came without its issuer may be anybody's, and so the withdrawn patient's."""
_NO_ISSUERS = frozenset(("", "IMPORT"))
"""What stands for one that nobody told; a row that is imported never tells it."""
_ADD = insert(withdrawals).on_conflict_do_nothing()
_IS_ANY = select(withdrawals.c.kind).limit(1)
_FIND = select(withdrawals.c.kind).where(withdrawals.c.reference.in_(bindparam("references", expanding=True))).limit(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawn:
    """What a withdrawal took away."""

    reports: int
    """That were remembered, or waited to be."""
    edits: int
    versions: tuple[str, ...]
    """LoRA versions that it marked."""
    signers: tuple[str, ...]
    """Whose reports they were."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """When somebody withdrew, and who put it in."""

    at: datetime
    actor: str
    secret: bytes


def note_patient(conn: Connection, id: str, issuer: str, act: Act) -> None:
    """Nothing of this patient comes in any more. An empty `issuer` means any.

    Committed before `withdraw_patient` looks for what is there, so that nothing comes in behind its back.
    """
    _note(conn, _names_of_patient(id, issuer), act)


def note_radiologist(conn: Connection, id: str, act: Act) -> None:
    """Nothing that this radiologist signs comes in any more; to be committed before `withdraw_radiologist`."""
    _note(conn, {(Kind.RADIOLOGIST, id, _ANY)}, act)


def withdraw_patient(conn: Connection, id: str, issuer: str, act: Act) -> Withdrawn:
    """Nothing of this patient may be learned from, now or later.

    Cases that had the number before a merge are the patient's too. They all stay as they are: they are the hospital's
    record of what it sent and received.
    """
    names = {(Kind.PATIENT, fold_id(id), issuer or _ANY)} | (
        {(Kind.PATIENT, fold_id(id), _UNTOLD)} if issuer else set()
    )
    known = [case for case in cases.mentioning(conn, id) if not names.isdisjoint(_names_of(case))]
    signers = tuple(sorted({case.signer.id for case in known} - {""}))
    note_patient(conn, id, issuer, act)
    withdrawn = _withdraw(conn, [case.key for case in known], act, reason="a patient withdrew")
    return replace(withdrawn, signers=signers)


def follow_merge(conn: Connection, fact: PatientsMerged) -> None:
    """Two numbers are one patient: who withdrew under one of them has withdrawn under the other."""
    merged = (Patient(id=fact.prior_id, issuer=fact.prior_issuer), fact.patient)
    if any(is_withdrawn(conn, Case(key=CaseKey(accession=""), patient=patient)) for patient in merged):
        act = Act(at=fact.at, actor=ACTOR, secret=secrets.read(conn, secrets.PSEUDONYMS))
        for patient in merged:
            withdraw_patient(conn, patient.id, patient.issuer, act)


def withdraw_radiologist(conn: Connection, id: str, act: Act, *, versions: Iterable[str] = ()) -> Withdrawn:
    """Nothing that this radiologist signed may be learned from, now or later; their own `versions` are marked."""
    keys = {*memory.signed_by(conn, id), *edits.signed_by(conn, id)}
    note_radiologist(conn, id, act)
    withdrawn = _withdraw(conn, keys, act, reason="its radiologist withdrew", versions=versions)
    return replace(withdrawn, signers=(id,))


def is_withdrawn(conn: Connection, case: Case) -> bool:
    """Whether the case is of a patient, or by a radiologist, who may not be learned from.

    Whoever withdraws waits for the end of this transaction, and then finds what it lets in.
    """
    hold(conn, Lock.WITHDRAWAL, [""], shared=True)
    if conn.execute(_IS_ANY).first() is None:
        return False
    secret = secrets.read(conn, secrets.PSEUDONYMS)
    references = [_refer(*name, secret) for name in _names_of(case)]
    return conn.execute(_FIND, {"references": references}).first() is not None


def _note(conn: Connection, names: Iterable[tuple[Kind, str, str]], act: Act) -> None:
    hold(conn, Lock.WITHDRAWAL, [""])
    for kind, id, issuer in sorted(names):
        row = {"kind": kind, "reference": _refer(kind, id, issuer, act.secret), "at": act.at, "actor": act.actor}
        conn.execute(_ADD, row)


def _withdraw(
    conn: Connection, keys: Collection[CaseKey], act: Act, *, reason: str, versions: Iterable[str] = ()
) -> Withdrawn:
    reports = dropped = 0
    for key in keys:
        reports += memory.forget(conn, key)
        memory.bar(conn, key, at=act.at)
        dropped += edits.forget(conn, key)
    seen = sources.trained_on(conn, keys) | frozenset(versions)
    new = sources.mark(conn, seen, Mark(at=act.at, actor=act.actor, reason=reason))
    return Withdrawn(reports=reports, edits=dropped, versions=tuple(sorted(new)), signers=())


def _names_of_patient(id: str, issuer: str) -> set[tuple[Kind, str, str]]:
    return {(Kind.PATIENT, fold_id(id), each) for each in ((issuer, _UNTOLD) if issuer else (_ANY,))}


def _names_of(case: Case) -> Iterator[tuple[Kind, str, str]]:
    """Under which a case may have been withdrawn."""
    if case.signer.id:
        yield Kind.RADIOLOGIST, case.signer.id, _ANY
    patient = case.patient
    for id in filter(None, map(fold_id, (patient.id, *patient.other_ids))):
        issuer = _UNTOLD if patient.issuer in _NO_ISSUERS else patient.issuer
        yield from ((Kind.PATIENT, id, _ANY), (Kind.PATIENT, id, issuer))


def _refer(kind: Kind, id: str, issuer: str, secret: bytes) -> str:
    return hmac.new(secret, f"{kind}\0{id}\0{issuer}".encode(), hashlib.sha256).hexdigest()
