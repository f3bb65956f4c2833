"""One real vLLM for all of these tests but the server's: a start takes half a minute."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from radbridge.registry import LoraVersion, read_personas
from radbridge_model_server.engines.engine import Engine
from radbridge_model_server.engines.start import start_engine
from radbridge_model_server.settings import PACKAGED, Settings, Vllm
from tests.contract.engine_suite import MAX_QUEUE

SETTINGS = Settings(
    engine="vllm",
    max_batch=MAX_QUEUE,
    max_queue=MAX_QUEUE,
    max_loras=2,
    vllm=Vllm(enforce_eager=True, max_cpu_loras=2),
)


def pytest_configure(config: pytest.Config) -> None:
    """What vLLM's libraries say to vLLM's authors is no failure here."""
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The engine that all share is closed by the last test that has it, and gone before the server starts another."""
    items.sort(key=lambda item: ("test_vllm_server" in item.nodeid, "ending" in getattr(item, "fixturenames", ())))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine() -> AsyncIterator[Engine]:
    running = await start_engine(SETTINGS)
    yield running
    await running.close()


@pytest.fixture(scope="session")
def loras() -> list[LoraVersion]:
    """The three personas of the packaged base, which is what these tests run on."""
    return list(read_personas(PACKAGED / "loras").values())
