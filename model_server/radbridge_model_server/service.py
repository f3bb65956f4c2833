"""Everything one replica of the model server holds, made from its settings."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from radbridge.coarse import draft_coarse
from radbridge.errors import ModelError
from radbridge.registry import MANIFEST, LoraRegistry, digest_weights, read_personas
from radbridge_model_server.drafting import Drafter
from radbridge_model_server.engine import Engine, Prompt
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
    engine = None if settings.strategy == "coarse" else await _ENGINES[settings.engine](settings)
    return Service(settings=settings, engine=engine, chain=chain)


async def _start_transformers(settings: Settings) -> Engine:
    from radbridge_model_server.transformers_engine import EngineLimits, TransformersEngine

    limits = EngineLimits(
        max_batch=settings.max_batch,
        max_queue=settings.max_queue,
        batch_wait_s=settings.batch_wait_ms / 1000,
        max_loras=settings.max_loras,
        max_rank=settings.max_rank,
        threads=settings.threads,
    )
    engine = TransformersEngine(settings.base, limits=limits, name=_base_name(settings), device=settings.device)
    await engine.start()
    return engine


async def _start_echo(settings: Settings) -> Engine:
    from radbridge_model_server.testing import EchoEngine

    digest = digest_weights(settings.base) if settings.base.is_dir() else "0" * 64
    return EchoEngine(base_digest=digest, max_queue=settings.max_queue, context_tokens=4096)


_ENGINES: dict[str, Callable[[Settings], Awaitable[Engine]]] = {
    "transformers": _start_transformers,
    "echo": _start_echo,
}


def _base_name(settings: Settings) -> str:
    """The name in the base's manifest, else the folder's."""
    try:
        return str(json.loads((settings.base / MANIFEST).read_bytes())["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return settings.base.name
