"""OpenAI-compatible chat completions: the bare engine, without coarse stage and guard. For ML teams, not for a RIS."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, Field, TypeAdapter

from radbridge.registry import LoraVersion
from radbridge_model_server.engine import Engine, Finish, Prompt
from radbridge_model_server.problems import HttpProblem
from radbridge_model_server.service import Service

_FINISH = {Finish.STOP: "stop", Finish.LENGTH: "length", Finish.REPETITION: "length"}


class Message(BaseModel):
    """One turn. The embedded model has no chat template: contents are joined by line feeds, as they stand."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str = Field(repr=False)


class ChatRequest(BaseModel):
    """What is read of OpenAI's request; decoding is greedy whatever `temperature` says."""

    model: str
    messages: list[Message] = Field(min_length=1)
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    stream: bool = False


CHAT = TypeAdapter(ChatRequest)


async def complete_chat(service: Service, request: ChatRequest) -> dict[str, Any]:
    """A chat completion by the base or by one LoRA. Raises HttpProblem for a model that isn't there."""
    engine, lora = _choose(service, request.model)
    wanted = request.max_completion_tokens or request.max_tokens or service.settings.max_new_tokens
    generated = await engine.generate(
        Prompt(
            text="\n".join(message.content for message in request.messages),
            lora=lora,
            max_new_tokens=min(wanted, service.settings.max_new_tokens),
            deadline=time.monotonic() + service.settings.deadline_s,
        )
    )
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": lora.name if lora else "base",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": generated.text},
                "finish_reason": _FINISH[generated.finish],
            }
        ],
        "usage": {
            "prompt_tokens": generated.prompt_tokens,
            "completion_tokens": generated.tokens,
            "total_tokens": generated.prompt_tokens + generated.tokens,
        },
    }


async def stream_chat(completion: dict[str, Any]) -> AsyncIterator[bytes]:
    """A finished completion in the form of a stream: one chunk with the text, one with the end."""
    head = {key: completion[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    choice = completion["choices"][0]
    for delta, finish in ((choice["message"], None), ({}, choice["finish_reason"])):
        chunk = head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        yield b"data: %s\n\n" % orjson.dumps(chunk)
    yield b"data: [DONE]\n\n"


def _choose(service: Service, model: str) -> tuple[Engine, LoraVersion | None]:
    if service.engine is None:
        raise HttpProblem(404, "no-model", "No model is loaded", "the server's strategy is coarse")
    if model == "base":
        return service.engine, None
    lora = service.chain.find(model)
    if lora is None:
        raise HttpProblem(404, "no-model", "No such model", "model: see GET /v1/models")
    return service.engine, lora
