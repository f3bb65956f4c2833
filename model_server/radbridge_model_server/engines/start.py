"""The engines by name. Each module is imported only when its engine is asked for: no machine needs them all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import cast

from radbridge.errors import ConfigError
from radbridge.registry import MANIFEST
from radbridge_model_server.engines.engine import Engine
from radbridge_model_server.models.hub import fetch_base
from radbridge_model_server.settings import Settings

_MODULES = {
    "transformers": "radbridge_model_server.engines.transformers_engine",
    "vllm": "radbridge_model_server.engines.vllm_engine",
    "openai": "radbridge_model_server.engines.openai_engine",
    "echo": "radbridge_model_server.testing",
}


async def start_engine(settings: Settings) -> Engine:
    """The engine that the settings name, ready to generate. Raises ConfigError, or what loading its model raises."""
    try:
        start = import_module(_MODULES[settings.engine]).start_engine
    except ModuleNotFoundError as error:
        raise ConfigError([f"engine: {settings.engine} needs {error.name}, which isn't installed"]) from None
    await asyncio.to_thread(fetch_base, settings)
    engine = await cast("Callable[[Settings], Awaitable[Engine]]", start)(settings)
    if settings.base_digest and engine.base_digest != settings.base_digest:
        await engine.close()
        raise ConfigError([f"base_digest: the base in {settings.base} is another one; see `radbridge models check`"])
    return engine


def name_base(settings: Settings) -> str:
    """What drafts call the base: the configured name, else the one in its manifest, else the folder's."""
    try:
        return settings.name or str(json.loads((settings.base / MANIFEST).read_bytes())["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return settings.base.name
