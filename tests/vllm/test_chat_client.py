"""`/v1/chat/completions` as OpenAI's own Python client sees it, which comes with vLLM."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai
import pytest
from openai import AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam, ChatCompletionStreamOptionsParam

from radbridge.errors import DeadlinePassed
from radbridge_model_server.engines.engine import Generated, OnText, Prompt
from radbridge_model_server.loras.chain import LoraChain
from radbridge_model_server.service import Service
from radbridge_model_server.settings import Settings
from radbridge_model_server.testing import EchoEngine
from tests.support.serving import listening

ASKED: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "Write the impression."},
    {"role": "user", "content": "There is a 5 mm nodule."},
]
USAGE: ChatCompletionStreamOptionsParam = {"include_usage": True}


class Late(EchoEngine):
    """Says one word; once it is heard the deadline has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()

    async def generate(self, prompt: Prompt, on_text: OnText | None = None) -> Generated:
        assert on_text, prompt
        on_text("There ")
        await self.heard.wait()
        raise DeadlinePassed(0.5)


async def hear(stream: AsyncStream[ChatCompletionChunk], engine: Late) -> None:
    """Read to the end, and tell the engine once the first word is there."""
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            engine.heard.set()


@asynccontextmanager
async def client_of(engine: EchoEngine) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's client for our API on a free port. It would try again by itself; here it may not."""
    settings = Settings(engine="echo", strategy="single", site_lora="", deadline_s=60)
    chain = LoraChain(registry=None, packaged={}, personas={}, site_lora="")
    async with (
        listening(Service(settings=settings, engine=engine, chain=chain)) as url,
        AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
    ):
        yield client


async def test_a_completion_and_its_stream_are_one_text() -> None:
    """The client reads both forms, and finds the text, the reason it ended and the counts in the same places."""
    async with client_of(EchoEngine()) as client:
        whole = await client.chat.completions.create(model="base", messages=ASKED)
        stream = await client.chat.completions.create(model="base", messages=ASKED, stream=True, stream_options=USAGE)
        chunks = [chunk async for chunk in stream]
    assert whole.choices[0].message.content == "There is a 5 mm nodule."
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    assert len(pieces) > 3
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert chunks[-1].usage == whole.usage


async def test_the_clients_own_helper_reads_the_stream() -> None:
    """`client.chat.completions.stream` puts the same completion together from the events."""
    async with (
        client_of(EchoEngine()) as client,
        client.chat.completions.stream(model="base", messages=ASKED) as stream,
    ):
        completion = await stream.get_final_completion()
    assert completion.choices[0].message.content == "There is a 5 mm nodule."


async def test_models_are_listed() -> None:
    """The client finds what it may ask for."""
    async with client_of(EchoEngine()) as client:
        assert [model.id async for model in client.models.list()] == ["base"]


async def test_errors_are_the_clients_own() -> None:
    """A full queue is its RateLimitError with Retry-After, an unknown model its NotFoundError."""
    async with client_of(EchoEngine(max_queue=0)) as client:
        with pytest.raises(openai.RateLimitError) as busy:
            await client.chat.completions.create(model="base", messages=ASKED, stream=True)
        assert int(busy.value.response.headers["retry-after"]) >= 1
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="rad/nobody", messages=ASKED)


async def test_an_error_in_the_middle_reaches_the_client() -> None:
    """A deadline that passes while the text streams raises the client's APIError, after the pieces that came."""
    engine = Late()
    async with client_of(engine) as client:
        stream = await client.chat.completions.create(model="base", messages=ASKED, stream=True)
        with pytest.raises(openai.APIError, match="deadline"):
            await hear(stream, engine)
    assert engine.heard.is_set()


async def test_a_client_that_breaks_off_ends_the_work() -> None:
    """Leaving the stream's block stops generation."""
    engine = EchoEngine(word_s=5)
    async with client_of(engine) as client:
        async with await client.chat.completions.create(model="base", messages=ASKED, stream=True) as stream:
            await anext(stream)
        while engine.stats().running:
            await asyncio.sleep(0.01)
    assert engine.stats().generated == 0
