"""One case from its order to its training example, every step seen on the wire or in the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

from radbridge.edit import Edit
from radbridge.errors import DeliveryError
from radbridge.journal import cases, edits
from radbridge.journal.stores import Stores
from radbridge_adapters.demo.dictation import Arrival, Dictation
from radbridge_adapters.demo.process import DemoFailed
from radbridge_adapters.demo.ris import Ris
from radbridge_adapters.hl7v2 import MllpClient, read_control_id

STEP_S = 60.0
"""How long a step may take before it counts as missing."""
READ_S = 1.0
"""What a radiologist needs to read a draft; a fast one."""

Seen = TypeVar("Seen")


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One line of the timeline."""

    at_s: float
    """Seconds since the order."""
    what: str
    source: str
    target: str
    control_id: str = ""
    answer: str = ""


@dataclass(kw_only=True, slots=True)
class Played:
    """What happened in one case, as far as it came."""

    ris: Ris
    steps: list[Step] = field(default_factory=list)
    draft: Arrival | None = None
    signed: str = ""
    edit: Edit | None = None


class Play:
    """Plays cases against one gateway. `tell` hears of each step as it happens."""

    def __init__(self, client: MllpClient, dictation: Dictation, stores: Stores, tell: Callable[[Step], None]) -> None:
        self._client = client
        self._dictation = dictation
        self._stores = stores
        self._tell = tell

    async def run(self, played: Played) -> None:
        """Play `played.ris` through. Raises DemoFailed naming the first step that was not seen."""
        ris, self._began, self._played = played.ris, perf_counter(), played
        draft = self._dictation.expect(ris.accession, "R")
        taken_back = self._dictation.expect(ris.accession, "D")
        await self._send("order, ORM^O01", ris.order())
        await self._send("report in progress, ORU^R01 (OBR-25 R)", ris.dictate())
        played.draft = await self._arrive("draft, ORU^R01 (OBX-11 R)", draft)
        await asyncio.sleep(READ_S)
        played.signed = ris.case.sign(played.draft.text)
        self._note(f"the radiologist reads and {_VERBS[ris.case.signs]}", "dictation", "RIS")
        await self._send("signed report, ORU^R01 (OBR-25 F)", ris.sign(played.signed))
        await self._arrive("draft taken back, ORU^R01 (OBX-11 D)", taken_back)
        played.edit = await self._within("training example stored", self._stored(ris.accession))
        outcome, distance = played.edit.outcome, played.edit.distance
        self._note(f"training example stored: {outcome}, edit distance {distance:.2f}", "RadBridge", "journal")

    async def _send(self, what: str, raw: bytes) -> None:
        control_id = read_control_id(raw)
        try:
            ack = await self._client.send(raw, control_id)
        except DeliveryError as error:
            raise DemoFailed(f"{what}: {error}") from None
        self._note(what, "RIS", "RadBridge", control_id, f"{ack.code} {ack.text}".strip())
        if ack.code != "AA":
            raise DemoFailed(f"{what}: RadBridge answered {ack.code} {ack.text}")

    async def _arrive(self, what: str, coming: asyncio.Future[Arrival]) -> Arrival:
        arrival = await self._within(what, coming)
        self._note(what, "RadBridge", "dictation", arrival.control_id, "AA")
        return arrival

    async def _within(self, what: str, coming: Awaitable[Seen]) -> Seen:
        try:
            return await asyncio.wait_for(coming, STEP_S)
        except TimeoutError:
            raise DemoFailed(f"missing step: {what} was not seen within {STEP_S:g} s") from None

    async def _stored(self, accession: str) -> Edit:
        while True:
            with self._stores.connect() as conn:
                for case in cases.by_accession(conn, accession):
                    for edit, _ in edits.of_case(conn, case.key):
                        return edit
            await asyncio.sleep(0.1)

    def _note(self, what: str, source: str, target: str, control_id: str = "", answer: str = "") -> None:
        at_s = perf_counter() - self._began
        step = Step(at_s=at_s, what=what, source=source, target=target, control_id=control_id, answer=answer)
        self._played.steps.append(step)
        self._tell(step)


_VERBS = {"accept": "accepts the draft", "edit": "edits the draft", "rewrite": "writes it anew"}
