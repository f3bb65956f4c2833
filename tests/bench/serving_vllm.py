"""RadBridge's vLLM engine and vLLM bare, on one and the same `AsyncLLM`: whatever the machine does, both feel it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radbridge.registry import LoraVersion, digest_weights
from radbridge_model_server.engines.engine import Engine
from radbridge_model_server.settings import Settings, Vllm
from tests.support.bare_vllm import BareVllm, Lora

BLOCK_TOKENS = 32
"""What vLLM caches at once; its default on a CPU, 128, is a whole prompt here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two ways to ask one engine."""

    ours: Engine
    bare: BareVllm


def make_settings(base: Path, **changes: Any) -> Settings:
    """The settings of every vLLM bench."""
    vllm = Vllm(enforce_eager=True, max_cpu_loras=64, args={"block_size": BLOCK_TOKENS})
    return Settings(engine="vllm", base=base, max_rank=16, vllm=vllm, **changes)


@asynccontextmanager
async def start_pair(base: Path, *, max_batch: int = 16, max_loras: int = 8) -> AsyncIterator[Pair]:
    """Both, ended with the block."""
    from vllm.v1.engine.async_llm import AsyncLLM

    from radbridge_model_server.engines.vllm_args import build_config, set_environment
    from radbridge_model_server.engines.vllm_engine import VllmEngine

    settings = make_settings(base, max_batch=max_batch, max_loras=max_loras)
    set_environment(settings)
    llm = AsyncLLM.from_vllm_config(build_config(settings), disable_log_stats=True)
    ours = VllmEngine(llm, settings, base_digest=digest_weights(base))
    try:
        yield Pair(ours=ours, bare=BareVllm(llm))
    finally:
        await ours.close()


def as_lora(version: LoraVersion) -> Lora:
    """A version as vLLM is told of it."""
    return Lora(name=version.name, number=version.number, path=version.path)
