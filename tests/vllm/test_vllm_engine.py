"""The promises of every `Engine`, kept by the real vLLM."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from radbridge.errors import ModelUnavailable
from radbridge_model_server.engines.engine import Prompt
from radbridge_model_server.engines.vllm_engine import VllmEngine
from tests.contract.engine_suite import *  # noqa: F403 - every test of the suite
from tests.vllm.conftest import SETTINGS

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_vllm_that_stands_still_is_unhealthy(engine: VllmEngine) -> None:
    """While its process is stopped in the middle of work, health fails; once it goes on, the text comes."""
    llm = engine._llm  # noqa: SLF001 - the same vLLM behind an engine that has less patience
    watched = VllmEngine(llm, SETTINGS, base_digest=engine.base_digest, stall_s=0.5)
    [process] = llm.engine_core.resources.engine_manager.processes
    os.kill(process.pid, signal.SIGSTOP)
    try:
        writing = asyncio.create_task(watched.generate(Prompt(text="Impression:\n", max_new_tokens=4)))
        async with asyncio.timeout(600):
            while is_healthy(watched):
                await asyncio.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert (await writing).tokens
    assert is_healthy(watched)


def is_healthy(engine: VllmEngine) -> bool:
    try:
        engine.check_health()
    except ModelUnavailable:
        return False
    return True
