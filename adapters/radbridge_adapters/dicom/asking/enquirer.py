"""Asks peers about open cases, beside everything else: no ACK and no draft waits for it.

What they answer goes the way of every message: it is journaled, then translated, then applied.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Protocol

import structlog
from pydicom.dataset import Dataset
from sqlalchemy import Connection

from radbridge.case import Case, CaseKey, CaseState
from radbridge.config import Dicom
from radbridge.errors import DeliveryError, JournalError
from radbridge.journal import cases
from radbridge.journal.clock import now
from radbridge.wire import Desk, Received
from radbridge_adapters.dicom.asking.asked import journal
from radbridge_adapters.dicom.asking.cache import ALONE_S, NOTHING_S, Cache
from radbridge_adapters.dicom.asking.peers import make_priors, make_worklist

log = structlog.get_logger(__name__)

POLL_S = 1.0
"""Between looks for cases that changed."""
BATCH = 100
LOOK_BACK = timedelta(hours=1)
"""Cases that changed so long before the start are asked about, too: their answers may not have come."""
OVERLAP = timedelta(seconds=5)
"""Read again: another gateway's change may be committed later than one that was made after it."""
GIVE_UP_S = 3600.0
"""After so long without an answer a case isn't asked about any more, until it changes."""
MOST_WAITING = 4096
ASKED_S = 86400.0
"""A question that was answered isn't asked of the same case again for so long."""


class Topic(Protocol):
    """One thing to ask about a case."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str:
        """Of the message that an answer becomes."""
        ...

    @property
    def sop_class(self) -> str:
        """The information model."""
        ...

    @property
    def may_be_known_later(self) -> bool:
        """Whether to ask again when there is no answer yet."""
        ...

    def question(self, case: Case) -> str:
        """What there is to ask; the same text the same question, empty: nothing."""
        ...

    async def ask(self, case: Case) -> Sequence[Dataset]:
        """The answers, as the journal keeps them. Raises DeliveryError."""
        ...


class Enquirer:
    """A worker that asks about one topic, one case after the other, until cancelled."""

    def __init__(self, topic: Topic, desk: Desk) -> None:
        self.name = f"dicom {topic.name}"
        self._topic = topic
        self._desk = desk
        self._seen: datetime | None = None
        self._known: set[tuple[datetime, CaseKey]] = set()
        """What was read of the last OVERLAP."""
        self._asked: Cache[str] = Cache()
        self._waiting: OrderedDict[CaseKey, tuple[float, float]] = OrderedDict()
        """Cases that have no answer yet: when to ask again, and when to give up."""

    async def run(self) -> None:
        """Look for cases that changed, ask about them, and again about those that nobody answered for."""
        while True:
            try:
                changed = await self._desk.store.read(self._changed)
                for case in [*changed, *await self._desk.store.read(self._due)]:
                    await self._ask_safely(case)
            except JournalError:
                log.exception("journal unavailable", retry_in_s=POLL_S)
                changed = []
            if len(changed) < BATCH:
                await asyncio.sleep(POLL_S)

    def _changed(self, conn: Connection) -> list[Case]:
        present = now(conn)
        seen = min(self._seen or present - LOOK_BACK, present)  # a clock that was set back
        found = cases.changed_since(conn, (seen - OVERLAP, "", ""), BATCH + len(self._known))
        new = [case for case, at in found if (at, case.key) not in self._known]
        self._seen = max([seen, *(at for _, at in found)])
        self._known |= {(at, case.key) for case, at in found}
        self._known = {(at, key) for at, key in self._known if at >= self._seen - OVERLAP}
        return new

    def _due(self, conn: Connection) -> list[Case]:
        now_s = monotonic()
        due = [key for key, (at, _) in self._waiting.items() if at <= now_s][:BATCH]
        return [case for key in due if (case := cases.load(conn, key)) is not None]

    async def _ask_safely(self, case: Case) -> None:
        """One case that can't be asked about doesn't end the questions about the others."""
        try:
            await self._ask(case)
        except JournalError:
            log.exception("journal unavailable", retry_in_s=POLL_S)
            self._wait(case.key, POLL_S)
        except Exception:  # a fault of ours in one case must not end the questions about the others
            log.exception("a case can't be asked about", task=self.name, case=case.key.accession)

    async def _ask(self, case: Case) -> None:
        question = self._topic.question(case) if case.state is CaseState.OPEN else ""
        mark = f"{case.key.issuer}\n{case.key.accession}\n{question}"
        if not question or self._asked.get(mark):
            self._waiting.pop(case.key, None)
            return
        try:
            answers = await self._topic.ask(case)
        except DeliveryError:
            self._wait(case.key, ALONE_S)
            return
        if not answers and self._topic.may_be_known_later:
            self._wait(case.key, NOTHING_S)
            return
        for answer in answers:
            await self._take_in(case.key, answer)
        self._asked.put(mark, question, ASKED_S)
        self._waiting.pop(case.key, None)

    def _wait(self, key: CaseKey, wait_s: float) -> None:
        now_s = monotonic()
        _, until = self._waiting.get(key, (0.0, now_s + GIVE_UP_S))
        if now_s >= until:
            self._waiting.pop(key, None)
            return
        self._waiting[key] = (now_s + wait_s, until)
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popitem(last=False)

    async def _take_in(self, key: CaseKey, answer: Dataset) -> None:
        digest, raw = journal(answer, self._topic.sop_class)
        await self._desk.accept(
            Received(
                wire="dicom",
                peer=self.name,
                sender="scu",
                control_id=digest,
                kind=self._topic.kind,
                accession=key.accession,
                raw=raw,
                ack=b"",
            )
        )


def workers(settings: Dicom, desk: Desk) -> tuple[Enquirer, ...]:
    """A worker for each topic that the site names somebody to ask about. Raises ConfigError."""
    topics: tuple[Topic | None, ...] = (make_worklist(settings), make_priors(settings))
    return tuple(Enquirer(topic, desk) for topic in topics if topic is not None)
