"""An OpenAI-compatible server that somebody else runs, as an HTTP client sees it. What it sends is never trusted."""

from __future__ import annotations

import math
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import httpx
from pydantic import BaseModel, Field, ValidationError

from radbridge.errors import ConfigError, ModelOverloaded, ModelUnavailable
from radbridge_model_server.engines.sse import NotEvents, read_events
from radbridge_model_server.settings import OpenAI

_CONNECT_S = 3.0
_SILENT_S = 60.0
"""A server that sends nothing for so long has lost the request; also what loading a LoRA may take."""
_KEEP_ALIVE_S = 3.0
"""Shorter than uvicorn's 5 s, so that no request goes out on a connection that is being closed."""
_PROBE_S = 5.0
_LARGEST = 8 * 2**20
"""Bytes of an answer that is no stream: a list of ten thousand models has fewer."""
_LONGEST_RETRY_S = 3600.0
_TOLD = 200
"""Characters of the server's own words that go into an error."""
_DONE = b"[DONE]"


class Misconfigured(ModelUnavailable):
    """The server can't be used as it is configured; waiting doesn't help."""


class ServerSaid(ModelUnavailable):
    """The server refused a request. Its words may repeat the prompt: they are in `words`, never in the message."""

    def __init__(self, status: int, words: str = "") -> None:
        self.status = status
        self.words = words
        super().__init__(f"the server at openai.url answered HTTP {status}; see its log")


class Card(BaseModel):
    """One model of `GET /v1/models`."""

    id: str
    owned_by: str | None = None
    parent: str | None = None
    """vLLM names here the base of a LoRA."""
    root: str | None = None
    """Where vLLM has it from."""
    max_model_len: int | None = None


class Choice(BaseModel):
    """The next piece of a text."""

    text: str | None = Field(default="", repr=False)
    finish_reason: str | None = None
    token_ids: list[int] | None = Field(default=None, repr=False)
    """vLLM only, where `return_token_ids` asked for them."""


class Usage(BaseModel):
    """The server's own count."""

    prompt_tokens: int = 0
    completion_tokens: int | None = None


class Chunk(BaseModel):
    """One event of a streamed completion."""

    choices: list[Choice] = []
    usage: Usage | None = None
    error: Any = Field(default=None, repr=False)


class _Cards(BaseModel):
    data: list[Card]


class OpenAIServer:
    """The server at `settings.url`. Its methods raise ModelUnavailable, ModelOverloaded, Misconfigured or ServerSaid.

    The API key is read once from its file and is in no message. Certificates are checked against the machine's own
    store, where a hospital keeps its authorities. No proxy is ever used. Raises ConfigError for a bad URL or key file.
    """

    def __init__(self, settings: OpenAI) -> None:
        self._key = _read_key(settings)
        try:
            self._http = httpx.AsyncClient(
                base_url=settings.url.rstrip("/") + "/",
                headers={"accept-encoding": "identity"}
                | ({"authorization": f"Bearer {self._key}"} if self._key else {}),
                timeout=httpx.Timeout(_SILENT_S, connect=_CONNECT_S, pool=None),
                limits=httpx.Limits(max_connections=None, keepalive_expiry=_KEEP_ALIVE_S),
                verify=ssl.create_default_context(),
                trust_env=False,
            )
        except httpx.InvalidURL:
            raise ConfigError(["openai.url: not a URL; such as http://gpu-host:8000"]) from None

    async def list_models(self) -> list[Card]:
        """What it serves."""
        status, body = await self._ask("GET", "v1/models", timeout_s=_PROBE_S)
        if status == httpx.codes.NOT_FOUND:
            raise Misconfigured("openai.url: no OpenAI-compatible server there; GET /v1/models is unknown to it")
        _check(status, body)
        try:
            return _Cards.model_validate_json(body).data
        except ValidationError:
            raise Misconfigured("openai.url: its /v1/models is no list of models") from None

    async def check_alive(self, *, is_vllm: bool) -> None:
        """Ask how it is. Only vLLM's /health looks at its engine; elsewhere the list of models must do."""
        status, body = await self._ask("GET", "health" if is_vllm else "v1/models", timeout_s=_PROBE_S)
        _check(status, body)

    async def complete(self, request: Mapping[str, Any]) -> AsyncGenerator[Chunk]:
        """The chunks of `POST /v1/completions`, streamed. Leaving off closes the connection, which ends the work."""
        async with self._open("POST", "v1/completions", json=request) as answer:
            if answer.status_code != httpx.codes.OK:
                _check(answer.status_code, await _read(answer), answer.headers)
            try:
                async with aclosing(read_events(answer.aiter_bytes())) as events:
                    async for event in events:
                        if event == _DONE:
                            return
                        yield _read_chunk(event)
            except NotEvents:
                raise ModelUnavailable("the server at openai.url sends what is no event stream") from None

    async def load_lora(self, name: str, path: str) -> None:
        """Tell vLLM to load a LoRA. ServerSaid 404 without words: it lets nobody load any."""
        # never load_inplace: the prefix cache of the weights before would be served (vllm#42125)
        _check(*await self._ask("POST", "v1/load_lora_adapter", json={"lora_name": name, "lora_path": path}))

    async def unload_lora(self, name: str) -> None:
        """Tell vLLM to forget a LoRA's name; the memory goes when another takes its place there (vllm#42207)."""
        _check(*await self._ask("POST", "v1/unload_lora_adapter", json={"lora_name": name}))

    def redact(self, words: str) -> str:
        """The server's words in one short line, without the key that a careless proxy might repeat."""
        line = " ".join(words.split())
        return (line.replace(self._key, "…") if self._key else line)[:_TOLD]

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _ask(
        self, method: str, path: str, *, json: Mapping[str, Any] | None = None, timeout_s: float = _SILENT_S
    ) -> tuple[int, bytes]:
        async with self._open(method, path, json=json, timeout_s=timeout_s) as answer:
            return answer.status_code, await _read(answer)

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, *, json: Mapping[str, Any] | None = None, timeout_s: float = _SILENT_S
    ) -> AsyncIterator[httpx.Response]:
        timeout = httpx.Timeout(timeout_s, connect=_CONNECT_S, pool=None)
        try:
            async with self._http.stream(method, path, json=json, timeout=timeout) as answer:
                yield answer
        except httpx.ReadTimeout:
            raise ModelUnavailable(f"the server at openai.url said nothing for {timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise ModelUnavailable(f"the server at openai.url can't be reached ({type(error).__name__})") from None


def _read_key(settings: OpenAI) -> str:
    if settings.api_key_file is None:
        return ""
    try:
        key = settings.api_key_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = f"openai.api_key_file: can't be read ({type(error).__name__})"
        raise ConfigError([problem]) from None
    if not key.isprintable() or " " in key or not key:
        raise ConfigError(["openai.api_key_file: must hold the key and nothing else"])
    return key


async def _read(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for block in answer.aiter_bytes():
        body += block
        if len(body) > _LARGEST:
            raise ModelUnavailable("the server at openai.url sends more than a server should")
    return bytes(body)


def _read_chunk(event: bytes) -> Chunk:
    try:
        chunk = Chunk.model_validate_json(event)
    except ValidationError:
        raise ModelUnavailable("the server at openai.url sends events that are no completion") from None
    if chunk.error is not None:
        raise ServerSaid(*_read_error(chunk.error))
    return chunk


def _check(status: int, body: bytes, headers: Mapping[str, str] = httpx.Headers()) -> None:
    if status == httpx.codes.OK:
        return
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        raise Misconfigured(f"openai.api_key_file: the server refuses the key (HTTP {status})")
    if status in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE}:
        raise ModelOverloaded(_retry_after_s(headers))
    try:
        error = Chunk.model_validate_json(body).error
    except ValidationError:
        error = None
    raise ServerSaid(status, _read_error(error)[1])


def _read_error(error: Any) -> tuple[int, str]:
    """Status and words of an OpenAI error, which is a table, or with some servers just words."""
    if not isinstance(error, dict):
        return httpx.codes.INTERNAL_SERVER_ERROR, str(error or "")
    code = error.get("code")
    words = " ".join(told for told in (error.get("message"), code) if isinstance(told, str))
    return code if isinstance(code, int) else httpx.codes.INTERNAL_SERVER_ERROR, words


def _retry_after_s(headers: Mapping[str, str]) -> float:
    with suppress(ValueError):  # it may be a date (RFC 9110, 10.2.3)
        told = float(headers.get("retry-after", ""))
        if math.isfinite(told) and 0 < told <= _LONGEST_RETRY_S:
            return told
    return 1.0
