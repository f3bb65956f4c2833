"""All that works behind the listeners, on a real SQLite file; model and peer are the shipped fakes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from radbridge.case import CaseKey, Patient, Radiologist, ReportText
from radbridge.config import Memory
from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import DraftState, Flag
from radbridge.errors import MessageFault
from radbridge.events import Event, OrderCancelled, OrderPlaced, ReportDictated, ReportSigned, ReportWithdrawn
from radbridge.flow.applying import Translate
from radbridge.flow.delivery import Courier
from radbridge.flow.drafting import Drafter
from radbridge.flow.intake import JournalIntake
from radbridge.flow.judging import Judge
from radbridge.flow.prefetch import AGAIN_S, Prefetcher
from radbridge.flow.process import Processor
from radbridge.flow.remembering import Recall, Rememberer
from radbridge.guard.policy import GuardPolicy
from radbridge.journal import Journal, drafts, messages
from radbridge.journal.buckets import ALL
from radbridge.metrics import Metrics
from radbridge.testing import FakeModel, MemorySink
from radbridge.wire import Received

KEY = CaseKey(accession="A1")


def translate(raw: bytes) -> list[Event]:
    """A wire of one JSON line: `{"order": true}`, `{"dictate": text}`, `{"sign": text}`, `{"cancel": true}`.

    `accession` and `signer` may stand beside it.
    """
    said = json.loads(raw)
    at = datetime.now(UTC)
    who = Patient(id="900001")
    signer = Radiologist(id=said.get("signer", "1001"))
    key = CaseKey(accession=said.get("accession", KEY.accession))
    if "order" in said:
        return [OrderPlaced(key=key, at=at, patient=who)]
    if "dictate" in said:
        return [ReportDictated(key=key, at=at, patient=who, report=ReportText(findings=said["dictate"]), signer=signer)]
    if "sign" in said:
        return [ReportSigned(key=KEY, at=at, report=ReportText(impression=said["sign"]), signer=signer)]
    if "cancel" in said:
        return [OrderCancelled(key=KEY, at=at)]
    if "wrong" in said:
        return [ReportWithdrawn(key=KEY, at=at, reason="wrong_patient")]
    if "crash" in said:
        raise ZeroDivisionError
    if "poison" in said:
        return [cast("Event", "no event at all")]
    raise MessageFault("unknown", "nothing known in it")


class FlaggingModel(FakeModel):
    """A model server whose guard finds `flags(findings)` in every draft."""

    def __init__(self, flags: Callable[[str], tuple[Flag, ...]]) -> None:
        super().__init__()
        self.flags = flags

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """The usual answer, and the flags."""
        return replace(await super().draft(request), flags=self.flags(request.findings))


@dataclass
class Flow:
    """The parts that a test speaks to or looks at."""

    journal: Journal
    intake: JournalIntake
    model: FakeModel
    sink: MemorySink
    metrics: Metrics
    rememberer: Rememberer
    count: int = 0

    async def say(self, **fact: object) -> bytes:
        """Hand in one message and return its answer."""
        self.count += 1
        control_id = str(self.count)
        return await self.intake.accept(
            Received(
                wire="test",
                peer="peer",
                sender="RIS",
                control_id=control_id,
                kind="T",
                accession=str(fact.get("accession", "A1")),
                raw=json.dumps(fact).encode(),
                ack=b"AA" + control_id.encode(),
            )
        )

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for the condition."""
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.005)

    def states(self) -> list[DraftState]:
        """The states of the case's drafts."""
        return [d.state for d in self.journal.read_now(lambda conn: drafts.of_case(conn, KEY))]

    def delivered(self) -> list[str]:
        """What the sink has got."""
        return [payload.decode() for _, payload in self.sink.sent]

    def applied(self) -> bool:
        """Whether no message waits."""
        return not self.journal.read_now(lambda conn: messages.waiting(conn, buckets=ALL, at_most=1))


@asynccontextmanager
async def running(
    folder: Path,
    model: FakeModel | None = None,
    sink: MemorySink | None = None,
    *,
    settle_s: float = 0.02,
    deadline_s: float = 60.0,
    policy: GuardPolicy | None = None,
    wire: Translate = translate,
    again_s: float = AGAIN_S,
    memory: Memory | None = None,
    recall: Recall | None = None,
    recall_s: float = 60.0,
) -> AsyncIterator[Flow]:
    """Everything behind the listeners, at work. `recall` takes the rememberer's place."""
    model, sink, metrics = model or FakeModel(), sink or MemorySink(), Metrics()
    journal = await Journal.open(f"sqlite:///{folder}/radbridge.db")
    courier = Courier(journal, sink, max_attempts=3, metrics=metrics)
    rememberer = Rememberer(
        journal, translators={"test": wire}, settings=memory or Memory(), secret=b"secret", metrics=metrics
    )
    drafter = Drafter(
        journal,
        model,
        destinations=[sink.name],
        deadline_s=deadline_s,
        concurrency=4,
        metrics=metrics,
        on_draft=courier.alarm.ring,
        case_secret=b"secret",
        judge=Judge(policy=policy or GuardPolicy()),
        recall=recall or rememberer.recall,
        recall_s=recall_s,
    )
    prefetcher = Prefetcher(model, again_s=again_s)

    def wake() -> None:
        drafter.alarm.ring()
        courier.alarm.ring()
        rememberer.alarm.ring()

    processor = Processor(
        journal, {"test": wire}, settle_s=settle_s, metrics=metrics, on_change=wake, on_signer=prefetcher.expect
    )
    intake = JournalIntake(journal, metrics, processor.alarm.ring)
    async with _at_work(journal, processor, rememberer, drafter, courier, prefetcher):
        yield Flow(journal, intake, model, sink, metrics, rememberer)


@asynccontextmanager
async def _at_work(
    journal: Journal, *parts: Processor | Rememberer | Drafter | Courier | Prefetcher
) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(part.run()) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await journal.close()
