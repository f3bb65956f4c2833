"""The engines by name. Each module is imported only when its engine is asked for: no machine needs them all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import cast

from radbridge.errors import ConfigError
from radbridge.prompt import readable_versions
from radbridge_model_server.engines.engine import Engine
from radbridge_model_server.models.hub import fetch_base
from radbridge_model_server.settings import Settings, read_base_manifest

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
    return settings.name or str(read_base_manifest(settings.base).get("name") or settings.base.name)


def read_prompt_version(settings: Settings) -> str:
    """What the base was trained to read, by its manifest; one that doesn't say reads what the template is now."""
    said = read_base_manifest(settings.base).get("prompt_version")
    readable = readable_versions(settings.prompt_template)
    return said if isinstance(said, str) and said in readable else settings.prompt_template.prompt_version
