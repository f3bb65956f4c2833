"""Everything one replica of the model server holds, made from its settings."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import structlog

from radbridge.coarse import draft_coarse
from radbridge.contract import PrefetchResponse, TaskName
from radbridge.entities import load_lexicon
from radbridge.errors import ModelError
from radbridge.registry import LoraRegistry, read_personas
from radbridge_model_server.drafts.coarse import CoarseDrafter, FindingsDrafter
from radbridge_model_server.drafts.desk import Desk
from radbridge_model_server.drafts.drafting import Drafted, Drafter
from radbridge_model_server.drafts.metrics import EngineMetrics, Metrics
from radbridge_model_server.drafts.pace import Pace
from radbridge_model_server.drafts.responding import Responder
from radbridge_model_server.drafts.shadow import Shadow
from radbridge_model_server.drafts.site_coarse import find_coarse
from radbridge_model_server.drafts.strategies import Extractive, Strategy, choose_strategies
from radbridge_model_server.drafts.tally import Tally
from radbridge_model_server.engines.engine import Engine, Prompt
from radbridge_model_server.engines.start import start_engine
from radbridge_model_server.loras.chain import LoraChain
from radbridge_model_server.loras.keeper import LoraKeeper
from radbridge_model_server.settings import Settings

log = structlog.get_logger(__name__)

_OUR_ID = re.compile("D[0-9a-f]{16}")
"""As the gateway makes them. Any other client's may be an accession number, which is PHI, and is not logged."""
_READY_FOR_S = 5.0
"""How long a canary's answer stands, so that probes don't take the engine's time."""
_CANARY_DEADLINE_S = 10.0


class Service:
    """Engine, LoRAs, the requests under way and the counts of one replica. Without an engine every draft is coarse."""

    def __init__(
        self, *, settings: Settings, engine: Engine | None, chain: LoraChain, coarse: CoarseDrafter | None = None
    ) -> None:
        """`coarse`: who writes the text that LoRAs rewrite; None: the findings alone."""
        self.settings = settings
        self.engine = engine
        self.chain = chain
        self.pace = Pace()
        self.tally = Tally(chain)
        self.metrics = Metrics(self.tally, *([EngineMetrics(engine)] if engine else []))
        coarse = coarse or FindingsDrafter()
        self.keeper: LoraKeeper | None = None
        self.shadow: Shadow | None = None
        strategies: Mapping[TaskName, Strategy] = {"impression": Extractive()}
        if engine:
            self.keeper = LoraKeeper(
                engine=engine,
                chain=chain,
                retire_after_s=settings.lifecycle.retire_after_s,
                clock=time.monotonic,
            )
            strategies = choose_strategies(settings, self.keeper, coarse)
        responders = {
            task: Responder(strategy=strategy, engine=engine, repair=settings.repair, lexicon=settings.lexicon)
            for task, strategy in strategies.items()
        }
        if engine:
            self.shadow = Shadow(
                chain=chain,
                responder=responders["impression"],
                tally=self.tally,
                share=settings.lifecycle.shadow_share,
                is_busy=self._is_busy,
            )
        self.drafter = Drafter(
            chain=chain,
            responders=responders,
            coarse=coarse,
            deadline_s=settings.deadline_s,
            on_drafted=self._note,
        )
        self.desk = Desk(self.drafter)
        self._ready_until = 0.0
        self._probing = asyncio.Lock()
        self._sweeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Keep LoRAs from now on; those that draft for everybody who has none of their own come first."""
        if self.keeper is None:
            return
        self._sweeping = asyncio.create_task(self.keeper.run())
        for owner in dict.fromkeys((self.settings.site_lora, *self.settings.personas.values())):
            if owner and (lora := self.chain.champion(owner)):
                self.keeper.prefetch(lora)

    async def close(self) -> None:
        """End what is under way, and the engine."""
        if self._sweeping:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        await self.desk.close()
        if self.shadow:
            await self.shadow.close()
        if self.keeper:
            await self.keeper.close()
        if self.engine:
            await self.engine.close()

    async def is_ready(self) -> bool:
        """Whether a canary token was generated just now, or within the last seconds."""
        async with self._probing:
            if time.monotonic() < self._ready_until:
                return True
            try:
                await self._sing()
            except ModelError:
                return False
            self._ready_until = time.monotonic() + _READY_FOR_S
            return True

    def prefetch(self, radiologist: str) -> PrefetchResponse:
        """Begin to load what will draft for a radiologist."""
        if self.keeper is None:
            return PrefetchResponse(lora="none", resident=True)
        usable = (
            link.lora
            for link in self.chain.links(radiologist)
            if not link.missing and not (link.lora and self.keeper.find_refusal(link.lora))
        )
        challenger = self.chain.find_challenger(radiologist) if self.settings.lifecycle.canary_share else None
        if challenger:
            self.keeper.prefetch(challenger)
        lora = next(usable, None)
        if lora is None:
            return PrefetchResponse(lora="base", resident=True)
        resident = self.keeper.is_resident(lora)
        self.keeper.prefetch(lora)
        return PrefetchResponse(lora=lora.name, resident=resident)

    def describe_loras(self) -> dict[str, Any]:
        """What is in memory and why, and how trials stand."""
        return {
            "loras": [asdict(status) for status in self.keeper.statuses()] if self.keeper else [],
            "trials": [
                {"owner": owner, "role": role, "mode": mode, **asdict(side)}
                for (owner, role, mode), side in self.tally.sides().items()
            ],
        }

    def _is_busy(self) -> bool:
        return self.desk.under_way > 0 and self.engine is not None and self.engine.stats().queued > 0

    def _note(self, drafted: Drafted) -> None:
        """Log and count a draft; nothing of its text."""
        response = drafted.response
        log.info(
            "drafted",
            draft_id=response.id if _OUR_ID.fullmatch(response.id) else "",
            lora=response.lora,
            stage=response.stage,
            fallback=len(response.fallback),
            ms=response.ms,
        )
        self.metrics.drafts.labels(response.stage).inc()
        self.metrics.draft_seconds.observe(response.ms / 1000)
        if response.fallback:
            self.metrics.fallbacks.inc()
        if self.engine:
            self.pace.note(self.engine.stats())
        if drafted.written:
            self.tally.note(drafted.written, response, "served")
        if self.shadow:
            self.shadow.offer(drafted)

    async def _sing(self) -> None:
        if self.engine is None:
            draft_coarse("No pleural effusion.")
            return
        deadline = time.monotonic() + _CANARY_DEADLINE_S
        await self.engine.generate(Prompt(text="Impression:\n", max_new_tokens=1, deadline=deadline))


async def start_service(settings: Settings) -> Service:
    """A service that can answer: the engine, if there is to be one, has its model loaded."""
    await asyncio.to_thread(load_lexicon, *settings.lexicon)
    chain = LoraChain(
        registry=LoraRegistry(settings.loras) if settings.loras else None,
        packaged=read_personas(settings.persona_loras) if settings.persona_loras else {},
        personas=settings.personas,
        site_lora=settings.site_lora,
        canary_share=settings.lifecycle.canary_share,
    )
    engine = None if settings.strategy == "coarse" else await start_engine(settings)
    coarse = await asyncio.to_thread(find_coarse, settings)
    service = Service(settings=settings, engine=engine, chain=chain, coarse=coarse)
    service.start()
    return service
