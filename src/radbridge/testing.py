"""Fakes that ship with the package, for our own tests and for whoever writes a wire. Each keeps what it was given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from radbridge.case import Case
from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import DraftImpression, Stage
from radbridge.errors import DeliveryError, JournalError, ModelError
from radbridge.metrics import Metrics
from radbridge.wire import Accepted, Received, Rejected


class MemoryIntake:
    """An intake that keeps messages in lists. `broken` makes it refuse as a journal with a full disk does."""

    def __init__(self) -> None:
        self.accepted: list[Received] = []
        self.rejected: list[Rejected] = []
        self.broken = False
        self.outcomes: dict[int, str] = {}
        """By a message's id, how it is to end; `done` where nothing is said."""
        self.meter = Metrics()
        self.counted: list[tuple[str, str, str]] = []
        self._kept: dict[tuple[str, str, bytes], Accepted] = {}
        self._replies: dict[int, bytes] = {}

    def put(self, received: Received) -> asyncio.Future[Accepted]:
        """Keep it; the same bytes again get the first answer."""
        return asyncio.ensure_future(self._keep(received))

    async def accept(self, received: Received) -> bytes:
        """Keep it; the same bytes again get the first answer."""
        return (await self._keep(received)).ack

    async def _keep(self, received: Received) -> Accepted:
        if self.broken:
            raise JournalError
        key = (received.sender, received.control_id, received.raw)
        if (first := self._kept.get(key)) is not None:
            return replace(first, new=False, reply=self._replies.get(first.id, b""))
        self.accepted.append(received)
        self._kept[key] = Accepted(id=len(self.accepted), ack=received.ack, new=True)
        return self._kept[key]

    def count(self, wire: str, kind: str, outcome: str) -> None:
        """Keep the words."""
        self.counted.append((wire, kind, outcome))

    async def outcome_of(self, message_id: int, *, at_most_s: float) -> str | None:
        """As `outcomes` says."""
        return self.outcomes.get(message_id, "done")

    async def keep_reply(self, message_id: int, reply: bytes) -> bytes:
        """Keep it; give the first one."""
        return self._replies.setdefault(message_id, reply)

    async def reject(self, rejected: Rejected) -> None:
        """Keep it."""
        if self.broken:
            raise JournalError
        self.rejected.append(rejected)


class FakeModel:
    """A model server that answers with the first sentence of the findings, after `delay_s`, or with `error`.

    A `stubborn` one answers even when its caller has hung up.
    """

    def __init__(self, *, delay_s: float = 0.0, error: ModelError | None = None, stubborn: bool = False) -> None:
        self.requests: list[DraftRequest] = []
        self.prefetched: list[str] = []
        self.answered: list[str] = []
        self.delay_s = delay_s
        self.error = error
        self.stubborn = stubborn

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """Answer, and note the findings once the answer is out."""
        self.requests.append(request)
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            if not self.stubborn:
                raise
        if self.error is not None:
            raise self.error
        self.answered.append(request.findings)
        return DraftResponse(
            id=request.id,
            draft=request.findings.split(".")[0] + ".",
            lora="base",
            model="fake",
            base_digest="0" * 12,
            prompt_version="p1",
            stage=Stage.COARSE,
            ms=self.delay_s * 1000,
            examples=tuple(example.id for example in request.examples),
        )

    async def prefetch(self, radiologist: str) -> None:
        """Note who will soon sign, or raise `error`."""
        self.prefetched.append(radiologist)
        if self.error is not None:
            raise self.error

    async def ready(self) -> bool:
        """Always."""
        return True

    async def close(self) -> None:
        """Nothing to close."""


class MemorySink:
    """A destination that keeps what it gets. `answer` decides each send: return a code or raise a DeliveryError."""

    def __init__(self, name: str = "dictation", answer: Callable[[int], str | DeliveryError] = lambda _: "AA") -> None:
        self._name = name
        self._answer = answer
        self.sent: list[tuple[str, bytes]] = []
        self.tried: list[tuple[str, bytes]] = []
        """Every send, the refused ones too."""
        self.attempts = 0

    @property
    def name(self) -> str:
        """The destination's name."""
        return self._name

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """`draft <accession> <text>`."""
        return f"draft {case.key.accession} {draft.text}".encode()

    def compose_withdrawal(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """`withdrawal <accession> <text>`."""
        return f"withdrawal {case.key.accession} {draft.text}".encode()

    async def deliver(self, control_id: str, payload: bytes) -> str:
        """Keep the payload when the answer is a code."""
        self.attempts += 1
        self.tried.append((control_id, payload))
        said = self._answer(self.attempts)
        if isinstance(said, DeliveryError):
            raise said
        self.sent.append((control_id, payload))
        return said

    async def ping(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Nothing to close."""
