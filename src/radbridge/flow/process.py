"""The processor: journaled messages, in order of arrival, become changes of cases and what follows from them.

All effects of a message and its mark as done are one transaction, so a crash repeats nothing and loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from radbridge.assemble import apply, update_patient, weigh
from radbridge.case import Case, Study
from radbridge.errors import JournalError, MessageFault
from radbridge.events import CaseEvent, Event, PatientsMerged, PatientUpdated, ReportOpened, StudyObserved
from radbridge.flow import noting
from radbridge.flow.consequences import follow, keep_memory
from radbridge.flow.wake import Alarm
from radbridge.journal import (
    Journal,
    buckets,
    cases,
    dicom,
    memory,
    messages,
    withdrawals,
)
from radbridge.journal.schema import MessageState
from radbridge.memory import holds_text, is_lost, weigh_memory
from radbridge.metrics import Metrics
from radbridge.traces import Name, span

log = structlog.get_logger(__name__)

BATCH = 64
"""Messages read from the journal at once."""
PRESSED_PAUSE_S = 0.05
"""Between two messages while acknowledging needs the time: applying takes a tenth of it then."""
LARGE = 64 * 1024
"""Bytes from which on a message is read off the event loop: below, it takes a few milliseconds."""
UNPLACED = "the accession of its study isn't known yet"
"""What is noted of a message that is about a case which nothing names so far."""

Translate = Callable[[bytes], Sequence[Event]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One message to apply."""

    message: messages.Waiting
    facts: Sequence[Event]
    fault: str = ""


class Processor:
    """Applies messages until stopped."""

    def __init__(
        self,
        journal: Journal,
        translators: Mapping[str, Translate],
        *,
        settle_s: float,
        metrics: Metrics,
        on_change: Callable[[], None],
        on_signer: Callable[[str], None] = lambda _: None,
        is_pressed: Callable[[], bool] = lambda: False,
        remembers: bool = True,
        drafts: bool = True,
    ) -> None:
        """`on_signer` gets the id of a radiologist when an open case is first known to be theirs to sign, or opened.

        `is_pressed` says when acknowledging needs the time: then messages are applied slowly, but applied.
        `remembers` says whether what is signed becomes an example of its signer's style, `drafts` whether drafts are
        asked for: of what was long signed none is wanted.
        """
        self.alarm = Alarm()
        self._journal = journal
        self._translators = translators
        self._settle = timedelta(seconds=settle_s)
        self._metrics = metrics
        self._on_change = on_change
        self._on_signer = on_signer
        self._is_pressed = is_pressed
        self._remembers = remembers
        self._drafts = drafts

    async def run(self) -> None:
        """Apply what waits, then wait for more; a journal that can't commit is tried again, never given up."""
        while True:
            try:
                batch = await self._journal.read(partial(messages.waiting, buckets=buckets.ALL, at_most=BATCH))
                if not batch:
                    await self.alarm.wait()
                    continue
                async with asyncio.TaskGroup() as applying:
                    for message in batch:
                        if self._is_pressed():
                            await asyncio.sleep(PRESSED_PAUSE_S)
                        # A large message is read in a thread; either way a listener may answer between two messages.
                        apart = asyncio.to_thread if len(message.raw) > LARGE else _at_once
                        applying.create_task(self._handle(await apart(self._translate, message)))
            except* JournalError:
                log.exception("journal unavailable", retry_in_s=1.0)
                await asyncio.sleep(1.0)
            self._on_change()

    async def _handle(self, step: Step) -> None:
        """Apply one message. One that trips a bug is marked failed: it must not stop the ones behind it."""
        try:
            for radiologist in await self._journal.write(self._apply, step):
                self._on_signer(radiologist)
        except JournalError:
            raise
        except Exception as error:
            log.exception("message can't be applied", message_id=step.message.id, kind=step.message.kind)
            fault = f"internal error ({type(error).__name__})"
            await self._journal.write(self._apply, Step(message=step.message, facts=(), fault=fault))

    def _translate(self, message: messages.Waiting) -> Step:
        translate = self._translators.get(message.wire)
        if translate is None:
            return Step(message=message, facts=(), fault=f"no wire named {message.wire!r} is installed")
        try:
            return Step(message=message, facts=translate(message.raw))
        except MessageFault as fault:
            return Step(message=message, facts=(), fault=f"{fault.reason}: {fault}")
        except Exception as error:
            log.exception("message can't be translated", message_id=message.id, kind=message.kind)
            return Step(message=message, facts=(), fault=f"internal error ({type(error).__name__})")

    def apply_now(self, conn: Connection, steps: Sequence[Step]) -> None:
        """Apply messages in the very transaction that stores them: nobody else ever sees them waiting."""
        self._apply(conn, steps)

    def _apply(self, conn: Connection, steps: Sequence[Step]) -> list[list[str]]:
        """Apply messages; for each, who is newly to sign a case."""
        return [self._apply_one(conn, step) for step in steps]

    def _apply_one(self, conn: Connection, step: Step) -> list[str]:
        with span(Name.APPLY, step.message.trace, wire=step.message.wire, message_id=step.message.id):
            return self._apply_facts(conn, step)

    def _apply_facts(self, conn: Connection, step: Step) -> list[str]:
        if step.fault:
            messages.settle(conn, step.message.id, MessageState.FAILED, step.fault)
            self._metrics.failed_messages.inc()
            log.warning("message failed", message_id=step.message.id, kind=step.message.kind, reason=step.fault)
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


async def _at_once(translate: Callable[[messages.Waiting], Step], message: messages.Waiting) -> Step:
    await asyncio.sleep(0)
    return translate(message)


def name_case(conn: Connection, fact: CaseEvent) -> CaseEvent | None:
    """The fact, with the accession of its study where it names only that; None when nobody has told it yet.

    Once somebody does, the journal brings the message up again (`radbridge.journal.dicom.relate`).
    """
    if fact.key.accession:
        return fact
    key = dicom.study_key(conn, fact.study.uid)
    return None if key is None else replace(fact, key=key, study=Study())


def _studies_of(case: Case | None) -> set[str]:
    """The studies that a case knows of by their UIDs: what came in of them without an accession is the case's."""
    return {case.study.uid, *(t.study_uid for t in case.told)} - {""} if case else set()


def _is_expected(before: Case | None, fact: CaseEvent) -> bool:
    """Whether a report will soon be dictated: somebody has it before them, or the first images of a study are there."""
    if isinstance(fact, StudyObserved):
        return before is None or all(t.study_uid != fact.told.study_uid for t in before.told)
    return isinstance(fact, ReportOpened)


def is_theirs(case: Case) -> bool:
    """Whether the case is open and known to be somebody's to sign."""
    return cases.is_open(case) and bool(case.signer.id)


def is_newly_theirs(before: Case | None, after: Case) -> bool:
    """Whether the case has just got the signer it has: their LoRA will soon be wanted."""
    return is_theirs(after) and (before is None or before.signer.id != after.signer.id)
