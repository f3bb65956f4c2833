"""The promises of every `Engine`, kept by the echo that tests use and by the one that hospitals run on a CPU."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from radbridge.registry import LoraRegistry, LoraVersion
from radbridge_model_server.engines.engine import Engine
from radbridge_model_server.engines.start import start_engine
from radbridge_model_server.settings import Settings
from tests.contract.engine_suite import *  # noqa: F403 - every test of the suite
from tests.contract.engine_suite import MAX_QUEUE
from tests.support.tiny_model import make_base, make_lora, publish

# PEFT 0.21 asks transformers 5.23 by a name that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def loras(base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[LoraVersion]:
    folder = tmp_path_factory.mktemp("loras")
    registry = LoraRegistry(folder / "registry")
    return [
        publish(registry, make_lora(base, folder / str(seed), seed=seed), f"rad/90000{seed}", base)
        for seed in (1, 2, 3)
    ]


@pytest.fixture(params=["echo", "transformers"])
async def engine(request: pytest.FixtureRequest, base: Path) -> AsyncIterator[Engine]:
    running = await start_engine(
        Settings(engine=request.param, base=base, max_queue=MAX_QUEUE, max_batch=MAX_QUEUE, max_loras=2)
    )
    yield running
    await running.close()
