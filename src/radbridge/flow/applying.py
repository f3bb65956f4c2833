"""What a message does, in one transaction: its facts change cases, and what follows from that is done.

Where several gateways share the journal, the transaction first makes sure that the message is still this one's, and
that nothing waits elsewhere which has to go before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeGuard

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import (
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)

from radbridge.assemble import apply, update_patient, weigh
from radbridge.case import Case, Study
from radbridge.errors import SealBroken
from radbridge.events import CaseEvent, Event, PatientsMerged, PatientUpdated, ReportOpened, StudyObserved
from radbridge.flow import noting
from radbridge.flow.consequences import follow, keep_memory
from radbridge.flow.ordering import Slip, find_blocked
from radbridge.journal import cases, dicom, locks, memory, messages, postgres, queue, withdrawals
from radbridge.journal.locks import Lock
from radbridge.journal.schema import MessageState
from radbridge.memory import holds_text, is_lost, weigh_memory
from radbridge.metrics import Metrics
from radbridge.traces import Name, span
from radbridge.wire import Holder

log = structlog.get_logger(__name__)

UNPLACED = "the accession of its study isn't known yet"
"""What is noted of a message that is about a case which nothing names so far."""

Translate = Callable[[bytes], Sequence[Event]]


class StatementRefused(Exception):
    """The database doesn't take what a message leads to; it would not the next time either."""


_REFUSALS = (DataError, IntegrityError, InterfaceError, NotSupportedError, ProgrammingError)
"""What isn't an outage."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What was this gateway's when a message was read."""

    leases: Mapping[str, int] = field(default_factory=dict)
    """Of the message's own bucket, with its epoch."""
    buckets: frozenset[int] = frozenset()
    """All of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One message to apply."""

    message: messages.Waiting
    facts: Sequence[Event]
    fault: str = ""
    """Why it can't be; empty: it can."""
    state: MessageState = MessageState.FAILED
    """What becomes of one that can't."""
    slip: Slip | None = None
    share: Share = Share()
    after: tuple[int, ...] = ()
    """What is before it in its lane: it waits as long as any of that does."""


class Applier:
    """Applies messages, within the transactions of others."""

    def __init__(
        self, *, holder: Holder, settle_s: float, metrics: Metrics, remembers: bool = True, drafts: bool = True
    ) -> None:
        """`remembers` and `drafts` as the processor's."""
        self._holder = holder
        self._settle = timedelta(seconds=settle_s)
        self._metrics = metrics
        self._remembers = remembers
        self._drafts = drafts

    def apply(self, conn: Connection, steps: Sequence[Step]) -> list[list[str] | None]:
        """Apply messages; for each, who is newly to sign a case. None: it has to wait.

        Raises LeaseLost when any of them is another gateway's now.
        """
        self._holder.fence(conn, {name: epoch for step in steps for name, epoch in step.share.leases.items()})
        # Asked of the database: whether an earlier write of this lane was committed is known nowhere else.
        waiting = queue.find_waiting(conn, {id for step in steps for id in (*step.after, step.message.id)})
        blocked = frozenset[int]() if self._holder.is_sole else _find_blocked(conn, steps)
        locks.hold(conn, Lock.CASE, _accessions_of(conn, steps))
        return [self._try(conn, step, waiting, blocked) for step in steps]

    def _try(self, conn: Connection, step: Step, waiting: set[int], blocked: frozenset[int]) -> list[str] | None:
        """Apply one that waits, unless it or one before it in its lane has to wait longer."""
        if step.message.id not in waiting:
            return []  # it was applied by a write whose end nobody waited for
        if step.message.id in blocked or not waiting.isdisjoint(step.after):
            return None
        try:
            signers = self._apply_one(conn, step)
        except Exception as error:
            if _is_refusal(error):  # its text may quote values
                raise StatementRefused(type(getattr(error, "orig", error)).__name__) from None
            raise
        waiting.discard(step.message.id)
        return signers

    def _apply_one(self, conn: Connection, step: Step) -> list[str]:
        with span(Name.APPLY, step.message.trace, wire=step.message.wire, message_id=step.message.id):
            return self._apply_facts(conn, step)

    def _apply_facts(self, conn: Connection, step: Step) -> list[str]:
        if step.fault:
            noting.failed(conn, step.message, step.state)
            messages.settle(conn, step.message.id, step.state, step.fault)
            return []
        signers: list[str] = []
        note = ""
        for told in step.facts:
            fact = name_case(conn, told) if isinstance(told, CaseEvent) else told
            if fact is None:
                note = UNPLACED
            elif isinstance(fact, CaseEvent):
                before = cases.find(conn, fact.key, fact.patient.id)
                after = apply(before, fact)
                self._store(conn, before, after)
                if is_newly_theirs(before, after) or (is_theirs(after) and _is_expected(before, fact)):
                    signers.append(after.signer.id)
            else:
                self._update_patient(conn, fact)
        noting.taken(conn, step.message, step.facts)
        messages.settle(conn, step.message.id, MessageState.DONE, note)
        return signers

    def _update_patient(self, conn: Connection, fact: PatientUpdated | PatientsMerged) -> None:
        if isinstance(fact, PatientsMerged):
            affected = cases.of_patient(conn, fact.prior_id, fact.prior_issuer)
        else:
            affected = cases.of_patient(conn, fact.patient.id, fact.patient.issuer)
        for case in affected:
            after = update_patient(case, fact)
            self._store(conn, case, after, merged=isinstance(fact, PatientsMerged))
            if holds_text(case) and is_lost(case.patient, after.patient):  # no message of the case may have told it
                memory.bar(conn, case.key, at=fact.at)
        if isinstance(fact, PatientsMerged):
            withdrawals.follow_merge(conn, fact)

    def _store(self, conn: Connection, before: Case | None, after: Case, *, merged: bool = False) -> None:
        if before == after:
            return
        cases.save(conn, after)
        for study_uid in sorted(_studies_of(after) - _studies_of(before)):
            dicom.relate(conn, study_uid, after.key)
        what = weigh(before, after, merged=merged)
        noting.changed(conn, after, what)
        edit = follow(conn, after, what if self._drafts else replace(what, request=False), settle=self._settle)
        if edit is not None:
            self._metrics.drafts_accepted.labels(edit.outcome).inc()
        keep_memory(conn, after, weigh_memory(before, after, what), remembers=self._remembers)


def _is_refusal(error: BaseException) -> bool:
    if isinstance(error, OperationalError):
        return postgres.is_refusal(error)
    return isinstance(error, (*_REFUSALS, SealBroken))


def _accessions_of(conn: Connection, steps: Sequence[Step]) -> frozenset[str]:
    """The cases that messages may change, as far as can be told before."""
    facts = [fact for step in steps for fact in step.facts]
    named = frozenset(fact.key.accession for fact in facts if isinstance(fact, CaseEvent)) - {""}
    return named | queue.find_cases(conn, (number for step in steps for number in _patients_of(step)))


def _patients_of(step: Step) -> list[str]:
    """The numbers of patients whose cases all change."""
    numbers = [fact.patient.id for fact in step.facts if isinstance(fact, PatientUpdated | PatientsMerged)]
    return numbers + [fact.prior_id for fact in step.facts if isinstance(fact, PatientsMerged)]


def _find_blocked(conn: Connection, steps: Sequence[Step]) -> frozenset[int]:
    """Which messages must wait for an earlier one in another gateway's share."""
    mine = [(step, step.slip) for step in steps if step.slip is not None]
    if not mine:
        return frozenset()
    before = max(slip.id for _, slip in mine)
    buckets = mine[0][0].share.buckets
    slips, others = [], set[str]()
    for step, slip in mine:
        theirs = queue.find_cases(conn, _patients_of(step)) if slip.wide else frozenset[str]()
        slips.append(replace(slip, others=slip.others | theirs))
        others |= slip.own | slip.others | theirs if slip.wide else set()
    ahead = queue.read_wide_ahead(conn, before=before, buckets=buckets)
    ahead += queue.read_ahead(conn, others, before=before, buckets=buckets)
    return find_blocked(slips, [_slip_of(message) for message in ahead])


def _slip_of(message: queue.Ahead) -> Slip:
    own = frozenset({message.accession} - {""})
    others, wide = frozenset(message.touches), bool(message.touches)
    return Slip(id=message.id, since=message.received_at, urgent=False, own=own, others=others, wide=wide)


def name_case(conn: Connection, fact: CaseEvent) -> CaseEvent | None:
    """The fact, with the accession of its study where it names only that; None when nobody has told it yet.

    Once somebody does, the journal brings the message up again (`radbridge.journal.dicom.relate`).
    """
    if fact.key.accession:
        return fact
    locks.hold(conn, Lock.STUDY, [fact.study.uid])  # whoever tells it just now, finds this message done
    key = dicom.study_key(conn, fact.study.uid)
    if key is None:
        return None
    locks.hold(conn, Lock.CASE, [key.accession])
    return replace(fact, key=key, study=Study())


def _studies_of(case: Case | None) -> set[str]:
    """The studies that a case knows of by their UIDs: what came in of them without an accession is the case's."""
    return {case.study.uid, *(t.study_uid for t in case.told)} - {""} if case else set()


def _is_expected(before: Case | None, fact: CaseEvent) -> bool:
    """Whether a report will soon be dictated: somebody has it before them, or the first images of a study are there."""
    if isinstance(fact, StudyObserved):
        return before is None or all(t.study_uid != fact.told.study_uid for t in before.told)
    return isinstance(fact, ReportOpened)


def is_theirs(case: Case | None) -> TypeGuard[Case]:
    """Whether the case is open and known to be somebody's to sign."""
    return case is not None and cases.is_open(case) and bool(case.signer.id)


def is_newly_theirs(before: Case | None, after: Case) -> bool:
    """Whether the case has just got the signer it has: their LoRA will soon be wanted."""
    return is_theirs(after) and (before is None or before.signer.id != after.signer.id)
