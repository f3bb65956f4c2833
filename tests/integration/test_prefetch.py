"""Hints to the model server about who will soon sign."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from radbridge.errors import ModelUnavailable
from radbridge.flow.prefetch import AGAIN_S, REMEMBERED, WAITING, Prefetcher
from radbridge.testing import FakeModel
from tests.support.flow import running


@asynccontextmanager
async def prefetching(model: FakeModel, again_s: float = AGAIN_S) -> AsyncIterator[Prefetcher]:
    """A prefetcher at work."""
    prefetcher = Prefetcher(model, again_s=again_s)
    task = asyncio.create_task(prefetcher.run())
    try:
        yield prefetcher
    finally:
        task.cancel()


async def test_whoever_will_sign_is_told_of_before_the_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first save of a case has its signer's LoRA loaded while the text still rests, once for all their cases."""
    monkeypatch.setattr("radbridge.flow.drafting.LONGEST_REST_S", 3600.0)  # a longer one would be none
    async with running(tmp_path, settle_s=600.0) as flow:
        await flow.say(order=True)
        await flow.say(dictate="One.")
        await flow.until(lambda: flow.model.prefetched)
        await flow.say(dictate="One. Two.")
        await flow.say(accession="A2", dictate="One.")
        await flow.say(accession="A3", dictate="One.", signer="1002")
        await flow.say(accession="A2", dictate="One.", signer="1003")
        await flow.until(lambda: len(flow.model.prefetched) == 3)
        await flow.until(flow.applied)
        assert sorted(flow.model.prefetched) == ["1001", "1002", "1003"]
        assert flow.model.requests == []


async def test_prefetch_is_never_in_the_way(tmp_path: Path) -> None:
    """With a server that hangs on every prefetch and a wire that tells of a thousand signers, reports are drafted."""

    class Hanging(FakeModel):
        async def prefetch(self, radiologist: str) -> None:
            await super().prefetch(radiologist)
            await asyncio.Event().wait()

    async with running(tmp_path, Hanging()) as flow:
        await asyncio.gather(*(flow.say(order=True, accession=f"B{n}") for n in range(1000)))
        await asyncio.gather(*(flow.say(accession=f"B{n}", dictate="", signer=f"{2000 + n}") for n in range(1000)))
        await flow.say(dictate="Small left effusion. More.")
        await flow.until(flow.delivered)
        assert flow.model.prefetched == ["2000"]


async def told(prefetcher: Prefetcher, model: FakeModel, radiologist: str) -> int:
    """How many hints the server has got once this one, or nothing, has come."""
    prefetcher.expect(radiologist)
    for _ in range(8):
        await asyncio.sleep(0)
    return len(model.prefetched)


async def test_a_failed_prefetch_is_tried_at_the_next_case() -> None:
    """A server that refused a hint gets it again with the radiologist's next case, and the log says so each time."""
    model = FakeModel(error=ModelUnavailable())
    async with prefetching(model) as prefetcher:
        with capture_logs() as logs:
            assert [await told(prefetcher, model, "1001") for _ in range(2)] == [1, 2]
    assert [(line["radiologist"], line["log_level"]) for line in logs] == [("1001", "info")] * 2


async def test_a_bug_in_a_client_ends_no_prefetching() -> None:
    """Whatever a client raises, the next hint goes out."""

    class Broken(FakeModel):
        async def prefetch(self, radiologist: str) -> None:
            await super().prefetch(radiologist)
            raise ZeroDivisionError

    model = Broken()
    async with prefetching(model) as prefetcher:
        assert [await told(prefetcher, model, str(n)) for n in range(3)] == [1, 2, 3]


async def test_a_hint_is_repeated_after_its_time() -> None:
    """One hint for many cases, and another when the server may have let the LoRA go."""
    model = FakeModel()
    async with prefetching(model) as prefetcher:
        assert [await told(prefetcher, model, "1001") for _ in range(3)] == [1, 1, 1]
    async with prefetching(model, again_s=0.0) as prefetcher:
        assert [await told(prefetcher, model, "1001") for _ in range(3)] == [2, 3, 4]


async def test_memory_is_bounded() -> None:
    """Of a burst no more waits than the bound, and of all radiologists no more are remembered than the bound."""
    model = FakeModel()
    prefetcher = Prefetcher(model)
    for n in range(10 * WAITING):
        prefetcher.expect(str(n))
    async with prefetching(model) as remembering:
        for n in range(REMEMBERED + 1):
            await told(remembering, model, str(n))
        count = await told(remembering, model, str(REMEMBERED))
        assert await told(remembering, model, "0") == count + 1
    task = asyncio.create_task(prefetcher.run())
    model.prefetched.clear()
    assert await told(prefetcher, model, "0") <= WAITING
    for _ in range(2 * WAITING):
        await asyncio.sleep(0)
    task.cancel()
    assert len(model.prefetched) == WAITING
