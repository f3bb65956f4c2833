"""Both engines with the same limits, for benches that show them beside each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from radbridge_model_server.engines.engine import Engine
from radbridge_model_server.engines.start import start_engine
from radbridge_model_server.settings import Settings
from tests.bench.serving_vllm import make_settings

ENGINES = ("transformers", "vllm")


@asynccontextmanager
async def started(name: str, base: Path, **limits: Any) -> AsyncIterator[Engine]:
    """An engine by its name, closed with the block."""
    settings = make_settings(base, **limits) if name == "vllm" else Settings(base=base, max_rank=16, **limits)
    engine = await start_engine(settings)
    try:
        yield engine
    finally:
        await engine.close()
