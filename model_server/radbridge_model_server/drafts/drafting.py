"""From a request to a draft: a coarse text, then what the strategy makes of it, then checked; the best that holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from radbridge.contract import DraftRequest, DraftResponse, TaskName
from radbridge.errors import ModelUnavailable
from radbridge_model_server.drafts.asking import Written
from radbridge_model_server.drafts.coarse import CoarseDrafter
from radbridge_model_server.drafts.prepared import Prepared, prepare
from radbridge_model_server.drafts.responding import Responder
from radbridge_model_server.drafts.strategies.expand import NEEDS_MODEL
from radbridge_model_server.engines.engine import OnText
from radbridge_model_server.loras.chain import LoraChain


@dataclass(frozen=True, kw_only=True, slots=True)
class Drafted:
    """One answered request, for whoever counts."""

    prepared: Prepared
    written: Written | None
    """None: no weights wrote anything, or only the coarse text."""
    response: DraftResponse


@dataclass(frozen=True, kw_only=True, slots=True)
class Drafter:
    """Answers draft requests."""

    chain: LoraChain
    responders: Mapping[TaskName, Responder]
    """Who answers which task."""
    coarse: CoarseDrafter
    deadline_s: float
    """For a request that states no deadline of its own, and the most that one may state."""
    on_drafted: Callable[[Drafted], None] | None = None

    async def draft(self, request: DraftRequest, received: float | None = None) -> DraftResponse:
        """The draft for one request. Raises ModelOverloaded, or DeadlinePassed when there is no text at all in time."""
        return await self.complete(await self.prepare(request, received))

    def deadline(self, request: DraftRequest, received: float) -> float:
        """`time.monotonic()` by which the answer to a request must leave."""
        asked_s = self.deadline_s if request.deadline_ms is None else request.deadline_ms / 1000
        return received + min(asked_s, self.deadline_s)

    async def prepare(self, request: DraftRequest, received: float | None = None) -> Prepared:
        """The coarse stage. `received` is when the request began to come in, by default now.

        Raises DeadlinePassed, ModelOverloaded, and ModelUnavailable for a task that nobody here does.
        """
        began = time.monotonic() if received is None else received
        responder = self._find_responder(request.task)
        prepared = await prepare(request, self.coarse, received=began, deadline=self.deadline(request, began))
        return await responder.strategy.prepare(prepared)

    async def complete(self, prepared: Prepared, on_text: OnText | None = None) -> DraftResponse:
        """The fine stage and the check; a whole text goes to `on_text` as it grows. Raises ModelOverloaded."""
        request, fallback = prepared.request, list(prepared.reasons)
        responder = self._find_responder(request.task)
        written: Written | None = None
        if responder.strategy.has_nothing(prepared):
            response = responder.respond_nothing(prepared)
        else:
            links = self.chain.links(request.radiologist, request.id)
            written = await responder.strategy.write(prepared, links, fallback, on_text)
            response = await responder.respond(prepared, written, fallback)
        if self.on_drafted:
            self.on_drafted(Drafted(prepared=prepared, written=written, response=response))
        return response

    def _find_responder(self, task: TaskName) -> Responder:
        if task not in self.responders:
            raise ModelUnavailable(NEEDS_MODEL)
        return self.responders[task]
