"""Everything one replica of the model server holds, made from its settings."""

from __future__ import annotations

import asyncio
import time

from radbridge.coarse import draft_coarse
from radbridge.errors import ModelError
from radbridge.registry import LoraRegistry, read_personas
from radbridge_model_server.drafting import Drafter
from radbridge_model_server.engine import Engine, Prompt
from radbridge_model_server.engines import start_engine
from radbridge_model_server.lora_chain import LoraChain
from radbridge_model_server.settings import Settings

_READY_FOR_S = 5.0
"""How long a canary's answer stands, so that probes don't take the engine's time."""
_CANARY_DEADLINE_S = 10.0


class Service:
    """Drafter, engine and LoRAs of one replica."""

    def __init__(self, *, settings: Settings, engine: Engine | None, chain: LoraChain) -> None:
        self.settings = settings
        self.engine = engine
        self.chain = chain
        self.drafter = Drafter(
            engine=engine,
            chain=chain,
            whole=settings.strategy == "whole",
            max_new_tokens=settings.max_new_tokens,
            deadline_s=settings.deadline_s,
        )
        self._ready_until = 0.0
        self._probing = asyncio.Lock()

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

    async def _sing(self) -> None:
        if self.engine is None:
            draft_coarse("No pleural effusion.")
            return
        deadline = time.monotonic() + _CANARY_DEADLINE_S
        await self.engine.generate(Prompt(text="Impression:\n", max_new_tokens=1, deadline=deadline))


async def start_service(settings: Settings) -> Service:
    """A service that can answer: the engine, if there is to be one, has its model loaded."""
    chain = LoraChain(
        registry=LoraRegistry(settings.loras) if settings.loras else None,
        packaged=read_personas(settings.persona_loras),
        personas=settings.personas,
        site_lora=settings.site_lora,
    )
    engine = None if settings.strategy == "coarse" else await start_engine(settings)
    return Service(settings=settings, engine=engine, chain=chain)
