"""The gateway's side of the model: a server is kept at hand, and drafted with while it answers.

Nothing else waits for it: without a model messages are taken in, applied and delivered all the same (rule 4).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from radbridge.config import Site
from radbridge.embedded import EmbeddedModelServer
from radbridge.errors import ModelUnavailable
from radbridge.flow.drafting import Drafter, ModelClient
from radbridge.flow.prefetch import Prefetcher
from radbridge.gateway.plugins import make_model_client

log = structlog.get_logger(__name__)

POLL_S = 0.5
AGAIN_S = 10.0
"""Before an embedded server that didn't start is tried again."""


class ModelKeeper:
    """Keeps a model server at hand, and drafts with it."""

    def __init__(self, site: Site, make_drafter: Callable[[ModelClient], Drafter]) -> None:
        self._site = site
        self._make_drafter = make_drafter
        self._model: ModelClient | None = None
        self._drafter: Drafter | None = None
        self._prefetcher: Prefetcher | None = None

    async def run(self) -> None:
        """Draft until cancelled; an embedded server that dies is started again."""
        if (url := self._site.model.url) != "embedded":
            await self._draft_at(url)
        while True:
            await self._draft_embedded()

    async def draft_with(self, model: ModelClient, url: str = "") -> None:
        """Draft with this one as soon as it is ready, until cancelled."""
        self._model = model
        try:
            while not await model.ready():  # noqa: ASYNC110 - a server elsewhere has no event to wait for
                await asyncio.sleep(POLL_S)
            log.info("drafting", url=url)
            self._drafter, self._prefetcher = self._make_drafter(model), Prefetcher(model)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._drafter.run(), name="drafter")
                tasks.create_task(self._prefetcher.run(), name="prefetcher")
        finally:
            self._model = self._drafter = self._prefetcher = None

    async def ready(self) -> bool:
        """Whether dictated reports are drafted now."""
        return self._drafter is not None and self._model is not None and await self._model.ready()

    def look(self) -> None:
        """There may be something to draft."""
        if self._drafter is not None:
            self._drafter.alarm.ring()

    def expect(self, radiologist: str) -> None:
        """They will soon sign. Only a hint: with no model at hand it is dropped."""
        if self._prefetcher is not None:
            self._prefetcher.expect(radiologist)

    async def _draft_at(self, url: str) -> None:
        model = make_model_client(url, self._site.model.deadline_s, self._site.model)
        try:
            await self.draft_with(model, url)
        finally:
            await model.close()

    async def _draft_embedded(self) -> None:
        """Draft for as long as one embedded server lives."""
        async with AsyncExitStack() as stack:
            server = EmbeddedModelServer(self._site.model, sys.stderr, lexicon=self._site.guard.lexicon)
            try:
                await stack.enter_async_context(server)
            except ModelUnavailable:
                log.exception("no model server; drafting stands still", retry_in_s=AGAIN_S)
                await asyncio.sleep(AGAIN_S)
                return
            drafting = asyncio.create_task(self._draft_at(server.url))
            died = asyncio.create_task(server.died())
            try:
                await asyncio.wait({drafting, died}, return_when=asyncio.FIRST_COMPLETED)
                if drafting.done():
                    drafting.result()  # it never returns: an error nobody foresaw ends the gateway, loudly
                log.error("the model server ended; starting another", rc=died.result())
            finally:
                drafting.cancel()
                died.cancel()
                await asyncio.gather(drafting, died, return_exceptions=True)
