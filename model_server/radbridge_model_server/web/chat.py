"""OpenAI-compatible chat completions: the bare engine, without coarse stage and guard. For ML teams, not for a RIS."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, Field, TypeAdapter

from radbridge.errors import ModelError
from radbridge.registry import LoraVersion
from radbridge_model_server.engines.engine import Engine, Finish, Generated, Prompt
from radbridge_model_server.service import Service
from radbridge_model_server.web.problems import HttpProblem, from_model_error

_FINISH = {Finish.STOP: "stop", Finish.LENGTH: "length", Finish.REPETITION: "length"}
_DONE = b"data: [DONE]\n\n"


class TextPart(BaseModel):
    """A part of a message; images and the like are refused."""

    type: Literal["text"]
    text: str = Field(repr=False)


class Message(BaseModel):
    """One turn.

    Contents are joined by line feeds, as they stand, and roles are not told to the model. A chat template in the
    tokenizer's folder is not applied: LoRAs are trained on RadBridge's own prompt (rule 7), and the same text must
    reach the model here as from a draft.
    """

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] = Field(repr=False)

    @property
    def text(self) -> str:
        """What is said, parts joined."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """`include_usage`: one more chunk at the end, with the counts."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """What is read of OpenAI's request; decoding is greedy whatever `temperature` says."""

    model: str
    messages: list[Message] = Field(min_length=1)
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None


CHAT = TypeAdapter(ChatRequest)


async def complete_chat(service: Service, request: ChatRequest) -> dict[str, Any]:
    """A chat completion by the base or by one LoRA. Cancelling stops the engine's work.

    Raises HttpProblem for a model that isn't there, and whatever `Engine.generate` raises.
    """
    engine, prompt = _choose(service, request)
    generated = await engine.generate(prompt)
    message = {"role": "assistant", "content": generated.text}
    choice = {"index": 0, "message": message, "finish_reason": _FINISH[generated.finish]}
    return _head("chat.completion", prompt) | {"choices": [choice], "usage": _usage(generated)}


async def stream_chat(service: Service, request: ChatRequest) -> AsyncGenerator[bytes]:
    """The completion as server-sent events, each piece as the engine gives it. Closing it stops the engine's work.

    It is given only when the first piece is there: until then errors are raised as by `complete_chat`, so that a full
    queue is a 429. Later ones are told as an event with `error`, as vLLM does.
    """
    engine, prompt = _choose(service, request)
    heard = _listen(engine, prompt)
    first = await anext(heard)
    with_usage = request.stream_options is not None and request.stream_options.include_usage
    return _tell(first, heard, _head("chat.completion.chunk", prompt), with_usage=with_usage)


async def _listen(engine: Engine, prompt: Prompt) -> AsyncGenerator[str | Generated]:
    """Pieces of the text as they come, then the whole."""
    pieces: asyncio.Queue[str | None] = asyncio.Queue()
    work = asyncio.create_task(engine.generate(prompt, pieces.put_nowait))

    def end(done: asyncio.Task[Generated]) -> None:
        pieces.put_nowait(None)
        done.cancelled() or done.exception()  # seen here, should nobody listen any more

    work.add_done_callback(end)
    try:
        while (piece := await pieces.get()) is not None:
            yield piece
        yield await work
    finally:
        work.cancel()


async def _tell(
    first: str | Generated, heard: AsyncGenerator[str | Generated], head: dict[str, Any], *, with_usage: bool
) -> AsyncGenerator[bytes]:
    if with_usage:
        head |= {"usage": None}
    trim = _Trimmer()
    async with aclosing(heard):
        try:
            yield _chunk(head, {"role": "assistant", "content": ""})
            news = first
            while isinstance(news, str):
                if piece := trim.take(news):
                    yield _chunk(head, {"content": piece})
                news = await anext(heard)
            if rest := news.text[trim.given :]:
                yield _chunk(head, {"content": rest})
            yield _chunk(head, {}, _FINISH[news.finish])
            if with_usage:
                yield _event(head | {"choices": [], "usage": _usage(news)})
        except ModelError as error:
            told = from_model_error(error)
            yield _event({"error": {"message": told.problem.title, "type": told.problem.type, "code": told.status}})
    yield _DONE


class _Trimmer:
    """Keeps back white space that may turn out to be the text's beginning or end: `Generated.text` has neither."""

    def __init__(self) -> None:
        self.given = 0
        """Characters let through."""
        self._kept = ""

    def take(self, piece: str) -> str:
        """What of the text can be shown by now."""
        text = self._kept + piece if self.given else piece.lstrip()
        shown = text.rstrip()
        self._kept = text[len(shown) :]
        self.given += len(shown)
        return shown


def _choose(service: Service, request: ChatRequest) -> tuple[Engine, Prompt]:
    if service.engine is None:
        raise HttpProblem(404, "no-model", "No model is loaded", "the server's strategy is coarse")
    wanted = request.max_completion_tokens or request.max_tokens or service.settings.max_new_tokens
    prompt = Prompt(
        text="\n".join(message.text for message in request.messages),
        lora=None if request.model == "base" else _find_lora(service, request.model),
        max_new_tokens=min(wanted, service.settings.max_new_tokens),
        deadline=time.monotonic() + service.settings.deadline_s,
    )
    return service.engine, prompt


def _find_lora(service: Service, model: str) -> LoraVersion:
    lora = service.chain.find(model)
    if lora is None:
        raise HttpProblem(404, "no-model", "No such model", "model: see GET /v1/models")
    return lora


def _head(kind: str, prompt: Prompt) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": prompt.lora.name if prompt.lora else "base",
    }


def _usage(generated: Generated) -> dict[str, int]:
    return {
        "prompt_tokens": generated.prompt_tokens,
        "completion_tokens": generated.tokens,
        "total_tokens": generated.prompt_tokens + generated.tokens,
    }


def _chunk(head: dict[str, Any], delta: dict[str, str], finish: str | None = None) -> bytes:
    return _event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _event(data: dict[str, Any]) -> bytes:
    return b"data: %s\n\n" % orjson.dumps(data)
