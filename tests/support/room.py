"""A reading room behind the listeners: what is said there, what the model server is asked, what the memory holds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import select

from radbridge.case import CaseKey, Patient, Radiologist, ReportText
from radbridge.config import Memory
from radbridge.contract import DraftRequest
from radbridge.events import (
    Event,
    PatientsMerged,
    PatientUpdated,
    ReportDictated,
    ReportSigned,
    ReportWithdrawn,
)
from radbridge.flow.remembering import Recall
from radbridge.journal import memory as stored
from radbridge.journal.schema import memory as table
from radbridge.testing import FakeModel
from tests.support.flow import Flow, running

EFFUSION = "Small left pleural effusion. Heart size is normal."
SAID = "Small left effusion."


def translate(raw: bytes) -> list[Event]:
    """A wire of one JSON line: `do` says what, the rest of whom."""
    said = json.loads(raw)
    at, key = datetime.now(UTC), CaseKey(accession=said.get("accession", ""))
    who = Patient(id=said.get("mrn", "900001"), name=said.get("name", "DOE^JANE"))
    signer = Radiologist(id=said.get("signer", "1001"), name="READ^GREGORY")
    report = ReportText(findings=said.get("findings", ""), impression=said.get("impression", ""))
    match said["do"]:
        case "dictate":
            return [ReportDictated(key=key, at=at, patient=who, report=report, signer=signer)]
        case "sign":
            return [ReportSigned(key=key, at=at, patient=who, report=report, signer=signer)]
        case "withdraw":
            return [ReportWithdrawn(key=key, at=at, reason="wrong_patient")]
        case "tell":
            return [PatientUpdated(at=at, patient=who)]
        case "merge":
            return [PatientsMerged(at=at, patient=who, prior_id=said["prior"])]
    raise AssertionError(said)


class Room:
    """A reading room: what is said there, what the model server is asked, and what the memory holds."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    async def say(self, **fact: str) -> None:
        """Hand in one fact, and return once it is applied and all that waits is remembered."""
        await self.flow.say(**fact)
        await self.flow.until(self.flow.applied)
        await self.flow.until(self._is_remembered)

    def _is_remembered(self) -> bool:
        read, index = self.flow.journal.read_now, self.flow.rememberer._index  # noqa: SLF001 - it lags by a moment
        kept = read(partial(stored.kept, before=1_000, at_most=1_000))
        return not read(partial(stored.waiting, at_most=1)) and all(n in index for n, report in kept.items() if report)

    async def sign(self, accession: str, findings: str = EFFUSION, impression: str = SAID, **more: str) -> None:
        """A report is signed."""
        await self.say(do="sign", accession=accession, findings=findings, impression=impression, **more)

    async def draft(self, accession: str, findings: str = EFFUSION, **more: str) -> DraftRequest:
        """Dictate, and give what the model server was asked."""
        asked = len(self.flow.model.requests)
        await self.say(do="dictate", accession=accession, findings=findings, **more)
        await self.flow.until(lambda: len(self.flow.model.requests) > asked)
        return self.flow.model.requests[-1]

    def kept(self) -> dict[str, bytes]:
        """The documents that the memory holds, by accession."""
        rows = self.flow.journal.read_now(lambda conn: conn.execute(select(table.c.accession, table.c.document)).all())
        return {row.accession: row.document for row in rows}


@asynccontextmanager
async def room(
    folder: Path,
    memory: Memory | None = None,
    *,
    model: FakeModel | None = None,
    recall: Recall | None = None,
    recall_s: float = 60.0,
) -> AsyncIterator[Room]:
    """A reading room with a journal in `folder`."""
    async with running(folder, model, wire=translate, memory=memory, recall=recall, recall_s=recall_s) as flow:
        yield Room(flow)
