"""The engine elsewhere: any OpenAI-compatible server that the hospital already runs, vLLM above all."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import structlog
from transformers import AutoTokenizer

from radbridge.errors import (
    ConfigError,
    DeadlinePassed,
    ModelError,
    ModelOverloaded,
    ModelUnavailable,
    PromptTooLong,
)
from radbridge.registry import LoraVersion, digest_weights
from radbridge_model_server.engines.engine import EngineStats, Finish, Generated, OnText, Prompt
from radbridge_model_server.engines.openai_server import Choice, Chunk, Misconfigured, OpenAIServer, ServerSaid, Usage
from radbridge_model_server.engines.repetition import is_looping
from radbridge_model_server.engines.served_loras import ServedLoras
from radbridge_model_server.engines.start import name_base, read_prompt_version
from radbridge_model_server.settings import Settings

_FINISH = {"stop": Finish.STOP, "eos_token": Finish.STOP, "length": Finish.LENGTH, "repetition": Finish.REPETITION}
_TOO_LONG = ("context_length", "context length", "maximum input length", "too long")
"""What servers say to a prompt that doesn't fit: OpenAI, vLLM, SGLang and TGI, others."""
_VLLM = "vllm"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How the engine watches the server."""

    ask_every_s: float = 5.0
    gone_after_s: float = 30.0
    """Without an answer for so long it is unhealthy; so is one that works and sends nothing for `stalled_after_s`."""
    stalled_after_s: float = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Served:
    """What the server said of the base model."""

    model: str
    root: str | None
    max_tokens: int | None
    is_vllm: bool


@dataclass(kw_only=True, slots=True)
class _Text:
    """A text as far as it has come."""

    pieces: list[str] = field(default_factory=list, repr=False)
    ids: list[int] = field(default_factory=list, repr=False)
    finish: str | None = None
    usage: Usage | None = None


class OpenAIEngine:
    """An `Engine` whose prompts go to `POST /v1/completions` of another server, greedily, one streamed request each.

    The tokenizer in `settings.base` counts the tokens; the server is trusted to serve that base. It batches and queues
    as it likes, so its own queue's time counts as `engine_ms`; no more than `max_batch + max_queue` requests are under
    way. A server that is away doesn't keep the engine from starting: prompts get ModelUnavailable until it is back.
    """

    def __init__(self, settings: Settings, *, patience: Patience = Patience()) -> None:
        self.model = name_base(settings)
        self.base_digest = _find_digest(settings)
        self.prompt_version = read_prompt_version(settings)
        self._context_tokens = settings.context_tokens or _read_context(settings)
        self._settings = settings
        self._patience = patience
        self._tokenizer: Any = AutoTokenizer.from_pretrained(settings.base, local_files_only=True)
        self._server = OpenAIServer(settings.openai)
        self._loras = ServedLoras(self._server, settings, base_digest=self.base_digest)
        self._served: _Served | None = None
        self._scopes: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        self._answered = self._progress = time.monotonic()
        self._running = self._generated = self._tokens = self._late = self._overloaded = 0
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look at the server. Raises ConfigError for what an operator must change, not for one that is away."""
        try:
            await self._look()
        except Misconfigured as error:
            await self._server.close()
            raise ConfigError([str(error)]) from None
        except ModelUnavailable as error:
            log.warning("model_server_away", reason=str(error))
        self._watching = asyncio.create_task(self._watch())

    @property
    def context_tokens(self) -> int:
        """What the base was made for or the settings say, and never more than the server takes."""
        served = self._served.max_tokens if self._served else None
        return min(self._context_tokens, served or self._context_tokens)

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer(text)["input_ids"])

    async def generate(self, prompt: Prompt, on_text: OnText | None = None) -> Generated:
        tokens = self.count_tokens(prompt.text)
        limit = self.context_tokens - prompt.max_new_tokens
        if tokens > limit:
            raise PromptTooLong(tokens, limit)
        if len(self._scopes) >= self._settings.max_batch + self._settings.max_queue:
            self._overloaded += 1
            raise ModelOverloaded(retry_after_s=1.0)
        async with self._under_way(prompt.deadline):
            try:
                return await self._write(prompt, tokens, on_text)
            except ModelOverloaded:
                self._overloaded += 1
                raise
            except ServerSaid as said:
                if any(words in said.words.lower() for words in _TOO_LONG):
                    raise PromptTooLong(tokens, limit) from None
                raise

    async def ensure_lora(self, version: LoraVersion) -> None:
        async with self._under_way():
            await self._loras.ensure(version)

    async def retire_lora(self, version: LoraVersion) -> None:
        await self._loras.retire(version)

    def check_health(self) -> None:
        if self._closed:
            raise ModelUnavailable
        now = time.monotonic()
        if now - self._answered > self._patience.gone_after_s:
            raise ModelUnavailable(f"the server at openai.url has not answered for {now - self._answered:.0f} s")
        if self._running and now - self._progress > self._patience.stalled_after_s:
            raise ModelUnavailable(f"the server at openai.url has written nothing for {now - self._progress:.0f} s")

    def stats(self) -> EngineStats:
        return EngineStats(
            queued=len(self._scopes) - self._running,
            running=self._running,
            generated=self._generated,
            batches=self._generated,
            tokens=self._tokens,
            late=self._late,
            overloaded=self._overloaded,
            loras=self._loras.names,
        )

    async def close(self) -> None:
        self._closed = True
        for scope in self._scopes:
            if not scope.expired():
                scope.reschedule(asyncio.get_running_loop().time())
        await self._idle.wait()
        if self._watching:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._loras.close()
        await self._server.close()

    @asynccontextmanager
    async def _under_way(self, deadline: float = float("inf")) -> AsyncIterator[None]:
        """Counts as under way, until the deadline or until the engine is closed."""
        if self._closed:
            raise ModelUnavailable
        allowed_s = deadline - time.monotonic()
        scope = asyncio.timeout(None if allowed_s == float("inf") else allowed_s)
        self._scopes.add(scope)
        self._idle.clear()
        try:
            async with scope:
                yield
        except TimeoutError:
            if self._closed:
                raise ModelUnavailable("the model server is stopping") from None
            self._late += 1
            raise DeadlinePassed(round(max(0.0, allowed_s), 3)) from None
        finally:
            self._scopes.discard(scope)
            if not self._scopes:
                self._idle.set()

    async def _write(self, prompt: Prompt, tokens: int, on_text: OnText | None) -> Generated:
        asked = time.monotonic()
        served = self._served or await self._look()
        if prompt.lora is None:
            return await self._ask(prompt, tokens, asked, served, on_text)
        async with self._loras.use(prompt.lora):
            try:
                return await self._ask(prompt, tokens, asked, served, on_text)
            except ServerSaid as said:
                if said.status != httpx.codes.NOT_FOUND:
                    raise
                served = await self._look()
                self._loras.lose(prompt.lora)
                await self._loras.ensure(prompt.lora)
                return await self._ask(prompt, tokens, asked, served, on_text)

    async def _ask(
        self, prompt: Prompt, tokens: int, asked: float, served: _Served, on_text: OnText | None
    ) -> Generated:
        text = _Text()
        began = self._progress = time.monotonic()
        self._running += 1
        try:
            async with aclosing(self._server.complete(_request(prompt, served))) as chunks:
                async for chunk in chunks:
                    self._answered = self._progress = time.monotonic()
                    if self._take(chunk, text, on_text):
                        break
        finally:
            self._running -= 1
        if text.finish not in _FINISH:
            raise ModelUnavailable("the server at openai.url ended a text before its end")
        usage = text.usage or Usage()
        generated = Generated(
            text="".join(text.pieces).strip(),
            finish=_FINISH[text.finish],
            prompt_tokens=usage.prompt_tokens or tokens,
            tokens=usage.completion_tokens or len(text.ids),
            queue_ms=(began - asked) * 1000,
            engine_ms=(time.monotonic() - began) * 1000,
        )
        self._generated += 1
        self._tokens += generated.tokens
        return generated

    def _take(self, chunk: Chunk, text: _Text, on_text: OnText | None) -> bool:
        """Add a chunk to the text; True when nothing more is wanted of it."""
        text.usage = chunk.usage or text.usage
        for choice in chunk.choices:
            text.finish = choice.finish_reason or text.finish
            piece = choice.text or ""
            text.pieces.append(piece)
            text.ids += self._tokens_of(choice, piece)
            if piece and on_text:
                on_text(piece)
            if is_looping(text.ids):
                text.finish = "repetition"
                return True
        return False

    def _tokens_of(self, choice: Choice, piece: str) -> list[int]:
        if choice.token_ids is not None or not piece:
            return choice.token_ids or []
        ids: list[int] = self._tokenizer(piece, add_special_tokens=False)["input_ids"]
        return ids

    async def _look(self) -> _Served:
        """What the server serves as the base. Raises Misconfigured when it isn't what it should be, or was before."""
        cards = await self._server.list_models()
        self._answered = time.monotonic()
        wanted = self._settings.openai.model or (self._served.model if self._served else "")
        card = next((c for c in cards if (c.id == wanted if wanted else c.parent is None)), None)
        if card is None:
            listed = ", ".join(c.id for c in cards if c.parent is None) or "no model"
            raise Misconfigured(f"openai.model: the server lists {listed}, and not {wanted or 'a base model'}")
        if self._served and self._served.root != card.root:
            raise Misconfigured(f"openai.model: the server has {wanted} from another place now; restart this one too")
        self._served = _Served(
            model=card.id, root=card.root, max_tokens=card.max_model_len, is_vllm=card.owned_by == _VLLM
        )
        return self._served

    async def _watch(self) -> None:
        """Ask the server how it is, as long as the engine runs."""
        was_away = False
        while True:
            await asyncio.sleep(self._patience.ask_every_s)
            try:
                served = self._served or await self._look()
                await self._server.check_alive(is_vllm=served.is_vllm)
            except ModelError as error:
                if not was_away:
                    log.warning("model_server_away", reason=str(error))
                was_away = True
            else:
                self._answered = time.monotonic()
                if was_away:
                    log.info("model_server_back")
                was_away = False


async def start_engine(settings: Settings) -> OpenAIEngine:
    """`engine: openai`, when the server answers or is away; raises ConfigError when it can't be used as configured."""
    engine = OpenAIEngine(settings)
    await engine.start()
    return engine


def _request(prompt: Prompt, served: _Served) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": prompt.lora.name if prompt.lora else served.model,
        "prompt": prompt.text,
        "max_tokens": prompt.max_new_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if served.is_vllm:
        # vLLM takes penalties from the base's generation_config.json; the other engines don't
        request |= {"repetition_penalty": 1.0, "return_token_ids": True}
        if prompt.lora:
            request["cache_salt"] = prompt.lora.name
    return request


def _find_digest(settings: Settings) -> str:
    if any(settings.base.glob("*.safetensors")):
        return digest_weights(settings.base)
    if not settings.base_digest:
        raise ConfigError(
            [f"base_digest: {settings.base} has no weights to take it from; state what `radbridge models check` prints"]
        )
    return settings.base_digest


def _read_context(settings: Settings) -> int:
    try:
        config = json.loads((settings.base / "config.json").read_bytes())
        return int(config.get("max_position_embeddings") or config["n_positions"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise ConfigError([f"context_tokens: {settings.base}/config.json doesn't tell it; state it"]) from None
