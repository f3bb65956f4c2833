"""`Shadow`: a challenger writes too, behind answers that have left, and is only counted. Its text goes nowhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from radbridge.errors import ModelError
from radbridge.registry import LoraVersion
from radbridge_model_server.drafts.drafting import Drafted
from radbridge_model_server.drafts.prepared import Prepared
from radbridge_model_server.drafts.responding import Responder
from radbridge_model_server.drafts.tally import Tally
from radbridge_model_server.loras.chain import Link, LoraChain
from radbridge_model_server.loras.shares import is_drawn

log = structlog.get_logger(__name__)

_LOOK_S = 0.02
"""How often it looks whether drafts wait for the engine."""


@dataclass(eq=False, kw_only=True, slots=True)
class Shadow:
    """At most one challenger writes at a time, while no prompt waits; it stops as soon as one does."""

    chain: LoraChain
    responder: Responder
    tally: Tally
    share: float
    is_busy: Callable[[], bool]
    """Whether drafts wait for the engine."""
    _work: asyncio.Task[None] | None = field(default=None, init=False)

    def offer(self, drafted: Drafted) -> None:
        """Begin, in the background, when it is this draft's turn and there is room for it."""
        request = drafted.prepared.request
        is_drawn_now = request.task == "impression" and is_drawn(request.id, share=self.share, purpose="shadow")
        if self._work or drafted.written is None or not is_drawn_now:
            return
        challenger = self.chain.find_challenger(request.radiologist)
        if challenger is None or challenger == drafted.written.lora or self.is_busy():
            return
        self._work = asyncio.create_task(self._run(drafted.prepared, challenger))

    async def close(self) -> None:
        """Stop."""
        if self._work:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def _run(self, prepared: Prepared, challenger: LoraVersion) -> None:
        writing = asyncio.create_task(self._write(prepared, challenger))
        try:
            while not writing.done() and not self.is_busy():
                await asyncio.wait({writing}, timeout=_LOOK_S)
        finally:
            writing.cancel()
            self._work = None

    async def _write(self, prepared: Prepared, challenger: LoraVersion) -> None:
        """Write, check and count. A failure is no news: the drafts themselves tell of a failing engine."""
        now = time.monotonic()
        again = replace(prepared, received=now, deadline=now + prepared.deadline - prepared.received)
        try:
            link = Link(label="challenger", lora=challenger, is_signers=True)
            written = await self.responder.strategy.write(again, [link], [])
            if written:
                response = await self.responder.respond(again, written, ())
                self.tally.note(written, response, "shadow")
        except ModelError as error:
            log.debug("no shadow", lora=challenger.name, reason=type(error).__name__)
