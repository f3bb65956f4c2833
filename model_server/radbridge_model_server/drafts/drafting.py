"""From findings to a draft: coarse, then fine by the signer's LoRA, then checked; the best text that holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from radbridge.contract import DraftRequest, DraftResponse
from radbridge_model_server.drafts.prepared import Prepared, prepare
from radbridge_model_server.drafts.responding import Responder
from radbridge_model_server.drafts.writing import Writer, Written
from radbridge_model_server.engines.engine import OnText
from radbridge_model_server.loras.chain import LoraChain


@dataclass(frozen=True, kw_only=True, slots=True)
class Drafted:
    """One answered request, for whoever counts."""

    prepared: Prepared
    written: Written | None
    """None: the coarse text was all there was."""
    response: DraftResponse


@dataclass(frozen=True, kw_only=True, slots=True)
class Drafter:
    """Answers draft requests. Without a writer every draft is the coarse one."""

    chain: LoraChain
    writer: Writer | None
    responder: Responder
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
        """The coarse stage. `received` is when the request began to come in, by default now. Raises DeadlinePassed."""
        began = time.monotonic() if received is None else received
        return await prepare(request, received=began, deadline=self.deadline(request, began))

    async def complete(self, prepared: Prepared, on_text: OnText | None = None) -> DraftResponse:
        """The fine stage and the check; a whole text goes to `on_text` as it grows. Raises ModelOverloaded."""
        request, fallback = prepared.request, list[str]()
        written: Written | None = None
        if not (prepared.coarse.strip() or (self.responder.whole and request.findings.strip())):
            response = self.responder.respond_nothing(prepared)
        else:
            if self.writer:
                links = self.chain.links(request.radiologist, request.id)
                written = await self.writer.write(prepared, links, fallback, on_text)
            response = await self.responder.respond(prepared, written, fallback)
        if self.on_drafted:
            self.on_drafted(Drafted(prepared=prepared, written=written, response=response))
        return response
