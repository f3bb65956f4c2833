"""`/v1/chat/completions` as a stream, over real sockets: the text as it grows, and what ends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from radbridge_model_server.loras.chain import LoraChain
from radbridge_model_server.service import Service
from radbridge_model_server.settings import Settings
from radbridge_model_server.testing import EchoEngine
from tests.support import serving as support
from tests.support.limits import limits_of

WORDS = 1000
TEXT = "word " * WORDS
WORD_S = 0.05
CHAT: dict[str, Any] = {"model": "base", "messages": [{"role": "user", "content": TEXT}], "stream": True}
SETTINGS = Settings(engine="echo", strategy="single", site_lora="", max_new_tokens=WORDS, deadline_s=120)


@asynccontextmanager
async def serve(engine: EchoEngine) -> AsyncIterator[httpx.AsyncClient]:
    """The API on a free port, and a client for it."""
    chain = LoraChain(registry=None, packaged={}, personas={}, site_lora="")
    async with support.serve(Service(settings=SETTINGS, engine=engine, chain=chain)) as client:
        yield client


async def read(client: httpx.AsyncClient, **changes: Any) -> list[Any]:
    """Every event of a stream to its end, which is the last."""
    async with client.stream("POST", "/v1/chat/completions", json=CHAT | changes) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") async for line in answer.aiter_lines() if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def text_of(events: list[Any]) -> str:
    return "".join(event["choices"][0]["delta"].get("content", "") for event in events if event["choices"])


async def until_idle(engine: EchoEngine) -> None:
    """Wait until nothing runs."""
    while engine.stats().running:
        await asyncio.sleep(0.01)


async def test_a_stream_is_the_completion_piece_by_piece() -> None:
    """The role comes first, then pieces that joined are the unstreamed text, then the reason it ended."""
    engine = EchoEngine(say=lambda _: "There is  a 5 mm nodule. ", context_tokens=4 * WORDS)
    async with serve(engine) as client:
        events = await read(client)
        whole = (await client.post("/v1/chat/completions", json=CHAT | {"stream": False})).json()
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert text_of(events) == whole["choices"][0]["message"]["content"] == "There is a 5 mm nodule."
    assert [event["choices"][0]["finish_reason"] for event in events] == [None] * (len(events) - 1) + ["stop"]
    assert len(events) > 3
    assert {(event["object"], event["model"]) for event in events} == {("chat.completion.chunk", "base")}
    assert len({event["id"] for event in events}) == 1


async def test_usage_is_told_when_asked_for() -> None:
    """With `include_usage` one more chunk, without choices, has the counts; the others say null."""
    async with serve(EchoEngine(context_tokens=4 * WORDS)) as client:
        *others, last = await read(client, max_tokens=3, stream_options={"include_usage": True})
        plain = await read(client, max_tokens=3)
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": WORDS, "completion_tokens": 3, "total_tokens": WORDS + 3}
    assert all(event["usage"] is None for event in others)
    assert others[-1]["choices"][0]["finish_reason"] == "length"
    assert not any("usage" in event for event in plain)


async def test_the_first_piece_comes_before_the_last_is_made() -> None:
    """A piece is sent when it is there, not when the text is done."""
    engine = EchoEngine(context_tokens=4 * WORDS, word_s=WORD_S)
    async with serve(engine) as client, client.stream("POST", "/v1/chat/completions", json=CHAT) as answer:
        lines = answer.aiter_lines()
        while '"word' not in await anext(lines):
            pass
        assert engine.stats().running == 1
        assert engine.stats().generated == 0


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("delay_s", [0.0, WORDS * WORD_S], ids=["speaking", "thinking"])
async def test_a_client_that_leaves_ends_the_work(stream: bool, delay_s: float) -> None:
    """When the client goes away, before the first piece or after, generation stops long before its end."""
    engine = EchoEngine(context_tokens=4 * WORDS, delay_s=delay_s, word_s=WORD_S)
    async with serve(engine) as client:
        leaving = asyncio.create_task(client.post("/v1/chat/completions", json=CHAT | {"stream": stream}))
        while not engine.stats().running:
            await asyncio.sleep(0.01)
        leaving.cancel()
        await until_idle(engine)
    assert engine.stats().generated == 0


async def test_a_full_queue_is_refused_before_the_stream_begins() -> None:
    """Overload is 429 with Retry-After and a problem document, streamed or not."""
    engine = EchoEngine(context_tokens=4 * WORDS, word_s=WORD_S, max_queue=1)
    async with serve(engine) as client, client.stream("POST", "/v1/chat/completions", json=CHAT):
        for stream in (True, False):
            refused = await client.post("/v1/chat/completions", json=CHAT | {"stream": stream})
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.json()["type"] == "urn:radbridge:overloaded"


async def test_a_deadline_ends_a_stream_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that isn't done in time ends as an error event; one that hasn't begun is a 504."""
    limits = limits_of("radbridge_model_server.testing", monkeypatch)
    speaking = EchoEngine(context_tokens=4 * WORDS, word_s=WORD_S)
    async with serve(speaking) as client, client.stream("POST", "/v1/chat/completions", json=CHAT) as answer:
        lines = answer.aiter_lines()
        while '"word' not in await anext(lines):
            pass
        limits.end()
        *_, last, done = [line.removeprefix("data: ") async for line in lines if line]
    assert done == "[DONE]"
    assert json.loads(last) == {
        "error": {"message": "No draft before the deadline", "type": "urn:radbridge:deadline-passed", "code": 504}
    }
    thinking = EchoEngine(context_tokens=4 * WORDS, delay_s=600)
    async with serve(thinking) as client:
        asked = asyncio.create_task(client.post("/v1/chat/completions", json=CHAT))
        while not thinking.stats().running:
            await asyncio.sleep(0.01)
        limits.end()
        assert (await asked).status_code == 504


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "content"),
        ({"n": 2}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
    ids=["nothing", "image", "two", "none"],
)
async def test_what_can_not_be_done_is_refused(changes: dict[str, Any], place: str) -> None:
    """Images, several choices and empty conversations are 422 with the place, never quietly something else."""
    async with serve(EchoEngine()) as client:
        refused = await client.post("/v1/chat/completions", json=CHAT | changes)
    assert refused.status_code == 422
    assert place in refused.json()["detail"]


async def test_parts_of_a_message_are_one_text() -> None:
    """Content given as text parts is the same as the same content in one piece."""
    parts = [{"type": "text", "text": "5 mm"}, {"type": "text", "text": " nodule."}]
    async with serve(EchoEngine(context_tokens=4 * WORDS)) as client:
        events = await read(client, messages=[{"role": "user", "content": parts}])
    assert text_of(events) == "5 mm nodule."
