"""DICOM objects and procedure steps, and which accession a study belongs to.

Of an image only a row is kept, and its header as a message when it says something new of its study: five hundred
slices are five hundred rows and one message. All of it is one write, so that both are there or neither.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum, StrEnum, auto

from sqlalchemy import Connection, bindparam, delete, insert, literal, select, update

from radbridge.case import CaseKey
from radbridge.journal import messages, sqlite
from radbridge.journal.locks import Lock, hold
from radbridge.journal.schema import (
    MessageState,
    dicom_instances,
    dicom_steps,
    dicom_studies,
    dicom_waiting,
)
from radbridge.journal.schema import messages as message_table
from radbridge.journal.upsert import insert as upsert
from radbridge.wire import Received


class StepState(StrEnum):
    """Performed Procedure Step Status (0040,0252)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


class StepOutcome(StrEnum):
    """What became of a procedure step's creation or change."""

    KEPT = "kept"
    KNOWN = "known"
    """There is a step of that UID."""
    UNKNOWN = "unknown"
    FINAL = "final"
    """It was completed or discontinued before."""


class _Told(Enum):
    """Whether the journal has what an object says of its study."""

    BEFORE = auto()
    NEVER = auto()
    OTHERWISE = auto()
    """This very object said something else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Filed:
    """A message of the imaging side, and the study that it is about."""

    received: Received
    studies: Sequence[tuple[str, CaseKey | None]]
    """Study Instance UIDs, each with its accession where the message names one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """One object that was stored here."""

    sop_uid: str
    class_uid: str
    study_uid: str
    series_uid: str
    key: CaseKey | None
    context: str
    """Equal for two objects of a study that say the same of it."""
    peer: str
    message: Callable[[], Received] = field(repr=False)
    """Makes the message that is journaled if this says something new."""
    is_repeat: bool = False
    """Whether an object that says the same of the same study is known to be committed: saves a look."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """A procedure step that begins."""

    sop_uid: str
    filed: Filed


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A change of a procedure step."""

    sop_uid: str
    state: StepState | None
    """None: as it was."""
    merge: Callable[[bytes], Filed] = field(repr=False)
    """The step's attributes as they are kept -> what is to be kept and told from now on."""


_CONTEXTS = select(dicom_instances.c.sop_uid, dicom_instances.c.context).where(
    dicom_instances.c.sop_uid.in_(bindparam("uids", expanding=True))
)
_KNOWN = (
    select(literal(1))
    .where(dicom_instances.c.study_uid == bindparam("study"), dicom_instances.c.context == bindparam("context"))
    .limit(1)
)
_INSERT = upsert(dicom_instances)
_KEEP = _INSERT.on_conflict_do_update(
    index_elements=["sop_uid"],
    set_={c.name: _INSERT.excluded[c.name] for c in dicom_instances.c if c.name != "sop_uid"},
)
_ADD = _INSERT.on_conflict_do_nothing().returning(dicom_instances.c.sop_uid)
_WAIT = insert(dicom_waiting)
_RELATE = upsert(dicom_studies).on_conflict_do_nothing().returning(dicom_studies.c.study_uid)
_KEYS = select(dicom_studies.c.accession, dicom_studies.c.issuer).where(dicom_studies.c.study_uid == bindparam("study"))
_WAITING_FOR = (
    select(dicom_waiting.c.message_id)
    .where(dicom_waiting.c.study_uid == bindparam("study"))
    .order_by(dicom_waiting.c.message_id)
)
_APPLIED = select(message_table).where(
    message_table.c.id == bindparam("old"), message_table.c.state != MessageState.ACCEPTED
)
_FORGET_MESSAGE = delete(message_table).where(message_table.c.id == bindparam("old"))
_QUEUE_AGAIN = insert(message_table).returning(message_table.c.id)
_FORGET_WAITING = delete(dicom_waiting).where(dicom_waiting.c.study_uid == bindparam("study"))
_WAIT_AS = (
    update(dicom_waiting).where(dicom_waiting.c.message_id == bindparam("old")).values(message_id=bindparam("new"))
)
_STEP = select(dicom_steps.c.state, dicom_steps.c.attributes).where(dicom_steps.c.sop_uid == bindparam("uid"))
_INSERT_STEP = upsert(dicom_steps)
_SAVE_STEP = _INSERT_STEP.on_conflict_do_update(
    index_elements=["sop_uid"],
    set_={name: _INSERT_STEP.excluded[name] for name in ("state", "attributes", "updated_at")},
)


def keep(conn: Connection, items: Sequence[Kept]) -> list[bool]:
    """Keep objects; for each, whether it said something new of its study and so is a message too."""
    now = datetime.now(UTC)
    if all(item.is_repeat for item in items):
        rows = [_row(item, now) for item in items]
        if conn.dialect.name == "sqlite":
            added = sqlite.add_instances(conn, rows)
        else:
            added = len(conn.execute(_ADD, rows).all())
        if added == len(items):
            return [False] * len(items)
    hold(conn, Lock.STUDY, [item.study_uid for item in items])
    contexts = {r.sop_uid: r.context for r in conn.execute(_CONTEXTS, {"uids": [i.sop_uid for i in items]})}
    told = _update(conn, items, contexts, now)
    said = [
        Filed(received=_message(item, how), studies=((item.study_uid, item.key),))
        for item, how in zip(items, told, strict=True)
        if how is not _Told.BEFORE
    ]
    if said:
        file(conn, said)
    return [how is not _Told.BEFORE for how in told]


def _message(item: Kept, how: _Told) -> Received:
    """A correction is no duplicate, even when it says again what the object said at first."""
    message = item.message()
    return (
        replace(message, control_id=f"{message.control_id}:{secrets.token_hex(8)}")
        if how is _Told.OTHERWISE
        else message
    )


def _update(conn: Connection, items: Sequence[Kept], contexts: dict[str, str], now: datetime) -> list[_Told]:
    """Bring the objects' rows up to date, whose contexts were `contexts`; for each, what that was."""
    rows: list[Mapping[str, object]] = []
    told: set[tuple[str, str]] = set()
    found: list[_Told] = []
    for item in items:
        before = contexts.get(item.sop_uid)
        contexts[item.sop_uid] = item.context
        pair = (item.study_uid, item.context)
        if before == item.context:
            found.append(_Told.BEFORE)
            continue
        rows.append(_row(item, now))
        if before is not None:  # what its row said before, nothing may say any more
            found.append(_Told.OTHERWISE)
            conn.execute(_KEEP, rows)
            rows.clear()
            told.clear()
            continue
        found.append(_Told.BEFORE if pair in told or _is_known(conn, pair) else _Told.NEVER)
        told.add(pair)
    if rows:
        conn.execute(_KEEP, rows)
    return found


def _is_known(conn: Connection, pair: tuple[str, str]) -> bool:
    return conn.execute(_KNOWN, {"study": pair[0], "context": pair[1]}).first() is not None


def _row(item: Kept, now: datetime) -> Mapping[str, object]:
    return {
        "sop_uid": item.sop_uid,
        "class_uid": item.class_uid,
        "study_uid": item.study_uid,
        "series_uid": item.series_uid,
        "accession": item.key.accession if item.key else "",
        "issuer": item.key.issuer if item.key else "",
        "context": item.context,
        "peer": item.peer,
        "received_at": now,
    }


def file(conn: Connection, items: Sequence[Filed]) -> list[bool]:
    """Take messages in; for each, whether it is a new one. Those that name no accession wait for their study's."""
    hold(conn, Lock.STUDY, [study_uid for item in items for study_uid, _ in item.studies])
    accepted = messages.accept(conn, [i.received for i in items])
    for item, message in zip(items, accepted, strict=True):
        for study_uid, key in item.studies:
            if key is not None:
                relate(conn, study_uid, key)
            elif message.new and study_uid:
                conn.execute(_WAIT, {"message_id": message.id, "study_uid": study_uid})
    return [message.new for message in accepted]


def relate(conn: Connection, study_uid: str, key: CaseKey) -> None:
    """Note that a study belongs to an accession. What came in of it before that was known is applied again."""
    hold(conn, Lock.STUDY, [study_uid])
    relation = {"study_uid": study_uid, "accession": key.accession, "issuer": key.issuer}
    if not study_uid or not key.accession or conn.execute(_RELATE, relation).first() is None:
        return
    waiting = conn.execute(_WAITING_FOR, {"study": study_uid}).scalars().all()
    conn.execute(_FORGET_WAITING, {"study": study_uid})
    for old in waiting:
        _queue_again(conn, old)


def _queue_again(conn: Connection, old: int) -> None:
    """Move a message that was applied behind the others. One that still waits for its turn is left there."""
    applied = conn.execute(_APPLIED, {"old": old}).mappings().first()
    if applied is None:
        return
    conn.execute(_FORGET_MESSAGE, {"old": old})  # first: the same bytes of a sender stand here once
    anew = {"state": MessageState.ACCEPTED, "reason": "", "settled_at": None, "tries": 0, "not_before": None}
    row = {name: value for name, value in applied.items() if name != "id"}
    new = conn.execute(_QUEUE_AGAIN, row | anew).scalar_one()
    conn.execute(_WAIT_AS, {"old": old, "new": new})  # it may wait for another study too


def study_key(conn: Connection, study_uid: str) -> CaseKey | None:
    """The accession of a study; None when it isn't known, or when the study has several."""
    keys = {(r.accession, r.issuer) for r in conn.execute(_KEYS, {"study": study_uid})}
    accessions = {accession for accession, _ in keys}
    issuers = {issuer for _, issuer in keys if issuer}
    if len(accessions) != 1 or len(issuers) > 1:
        return None
    return CaseKey(accession=accessions.pop(), issuer=next(iter(issuers), ""))


def begin_step(conn: Connection, items: Sequence[Begun]) -> list[StepOutcome]:
    """Keep procedure steps that begin."""
    hold(conn, Lock.STUDY, [item.sop_uid for item in items])
    return [_begin(conn, item) for item in items]


def _begin(conn: Connection, item: Begun) -> StepOutcome:
    if conn.execute(_STEP, {"uid": item.sop_uid}).first() is not None:
        return StepOutcome.KNOWN
    _save_step(conn, item.sop_uid, StepState.IN_PROGRESS, item.filed)
    return StepOutcome.KEPT


def change_step(conn: Connection, items: Sequence[Changed]) -> list[StepOutcome]:
    """Change procedure steps; one that is over stays as it is (PS3.4 F.7.2.2.2)."""
    hold(conn, Lock.STUDY, [item.sop_uid for item in items])
    return [_change(conn, item) for item in items]


def _change(conn: Connection, item: Changed) -> StepOutcome:
    step = conn.execute(_STEP, {"uid": item.sop_uid}).first()
    if step is None:
        return StepOutcome.UNKNOWN
    if step.state != StepState.IN_PROGRESS:
        return StepOutcome.FINAL
    _save_step(conn, item.sop_uid, item.state or StepState.IN_PROGRESS, item.merge(step.attributes))
    return StepOutcome.KEPT


def _save_step(conn: Connection, sop_uid: str, state: StepState, filed: Filed) -> None:
    row = {"sop_uid": sop_uid, "state": state, "attributes": filed.received.raw, "updated_at": datetime.now(UTC)}
    conn.execute(_SAVE_STEP, row)
    file(conn, [filed])
