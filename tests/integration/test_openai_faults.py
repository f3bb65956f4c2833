"""`engine: openai` before servers that fail in every way: each is told for what it is, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from radbridge.errors import (
    ConfigError,
    DeadlinePassed,
    LoraRefused,
    ModelError,
    ModelOverloaded,
    ModelUnavailable,
    PromptTooLong,
)
from radbridge.registry import LoraVersion, read_personas
from radbridge_model_server.engines import openai_server
from radbridge_model_server.engines.engine import Finish, Prompt
from radbridge_model_server.engines.openai_engine import OpenAIEngine, Patience
from radbridge_model_server.settings import PACKAGED, OpenAI, Settings
from tests.support.gateway import free_port
from tests.support.http_peer import Asked, HttpPeer, Reply, answer, raw, run_peer, stream

# PEFT 0.21 asks transformers 5.23 by a name that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
COMPLETIONS, MODELS = "/v1/completions", "/v1/models"
LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
BASE = {"id": "base", "owned_by": "somebody"}
PATIENCE = Patience(ask_every_s=600.0, gone_after_s=600.0, stalled_after_s=600.0)
KEY = "made-up-key"
SECRET = "DOE^JANE"
PROMPT = Prompt(text=f"Findings: {SECRET}.\nImpression:\n", max_new_tokens=16)


def models(*cards: dict[str, Any]) -> Reply:
    return answer(200, {"object": "list", "data": list(cards)})


def piece(text: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": text, "finish_reason": finish} | more]}


GOOD = stream(piece(" No"), piece(" effusion."), piece("", "stop"), b"data: [DONE]\n\n")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers on a machine that stands still have their time."""
    for limit in ("_CONNECT_S", "_PROBE_S", "_SILENT_S"):
        monkeypatch.setattr(openai_server, limit, 600.0)


@pytest.fixture(scope="module")
def loras() -> list[LoraVersion]:
    return list(read_personas(PACKAGED / "loras").values())


@asynccontextmanager
async def engine_for(
    peer: HttpPeer | str, *, patience: Patience = PATIENCE, settings: dict[str, Any] | None = None, **openai: Any
) -> AsyncIterator[OpenAIEngine]:
    url = peer if isinstance(peer, str) else peer.url
    engine = OpenAIEngine(
        Settings(engine="openai", openai=OpenAI(url=url, **openai), **settings or {}), patience=patience
    )
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def engine_with(completions: Reply, **replies: Reply) -> AsyncIterator[tuple[OpenAIEngine, HttpPeer]]:
    async with run_peer({MODELS: models(BASE), COMPLETIONS: completions}) as peer, engine_for(peer) as engine:
        yield engine, peer


@pytest.mark.parametrize(
    "fault",
    [
        stream(b"data: {\n\n"),
        stream(b"data: 7\n\n"),
        stream({"choices": [{"text": 7}]}),
        stream({"choices": {}}),
        raw(b"<html><body>Welcome</body></html>"),
        raw(b""),
        stream(piece(" No")),
        stream(piece(" No"), b"data: [DONE]\n\n"),
        stream(piece(" No"), b'data: {"choi'),
        stream(piece(" No", "abort")),
        stream(piece(" No"), {"error": {"message": f"failed at {SECRET}", "code": 500}}),
        stream({"error": f"failed at {SECRET}"}),
        stream(b"data: " + b"x" * 2**21),
        stream(b"data: x\n" * 2**18),
        answer(500, {"error": {"message": f"failed at {SECRET}"}}),
        answer(400, {"detail": [{"input": SECRET}]}),
        answer(404, {"error": {"message": "no such model"}}),
        raw(b"\xff\x00" * 99, status=502),
        raw(b"", status=307, location="http://127.0.0.1:9/elsewhere"),
        raw(b"x" * 9 * 2**20, status=500),
    ],
    ids="""not-json number wrong-type wrong-shape page empty closed-midway done-without-finish torn aborted error-midway
    error-words huge-line huge-event error-500 error-400 error-404 bytes-502 redirect huge-error""".split(),
)
async def test_a_broken_answer_is_no_text(fault: Reply) -> None:
    """Whatever a server sends in place of a text is ModelUnavailable, repeats nothing, and the next prompt is fine."""
    async with engine_with(fault) as (engine, peer):
        with pytest.raises(ModelUnavailable) as told:
            await engine.generate(PROMPT)
        assert SECRET not in str(told.value)
        peer.replies[COMPLETIONS] = GOOD
        assert (await engine.generate(PROMPT)).text == "No effusion."
        assert engine.stats().generated == 1


async def test_only_what_the_standard_has_is_sent_to_others_than_vllm() -> None:
    """A server that isn't vLLM gets no field that it might refuse, and the text as it is, greedily."""
    async with engine_with(GOOD) as (engine, peer):
        pieces: list[str] = []
        generated = await engine.generate(PROMPT, pieces.append)
    sent = peer.asked_for(COMPLETIONS)[0].body
    assert sent.keys() == {"model", "prompt", "max_tokens", "temperature", "stream", "stream_options"}
    assert (sent["model"], sent["prompt"], sent["max_tokens"], sent["temperature"]) == ("base", PROMPT.text, 16, 0)
    assert pieces == [" No", " effusion."]
    assert generated.finish is Finish.STOP
    assert generated.tokens > 0
    assert generated.prompt_tokens == engine.count_tokens(PROMPT.text)


async def test_comments_crlf_and_unknown_fields_are_passed_over() -> None:
    """Keep-alive comments, carriage returns, other SSE fields and chunks without choices don't disturb a text."""
    noisy = stream(
        b": keep-alive\r\n\r\n",
        b'event: x\r\ndata:{"choices": [{"text": " No"}]}\r\n\r\n',
        b'data: {"choices": []}\n\n',
        b'id: 7\ndata: {"choices": [{"text": null,\ndata: "finish_reason": "length"}]}\n\n',
        {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 13}},
    )
    async with engine_with(noisy) as (engine, _):
        generated = await engine.generate(PROMPT)
    assert (generated.text, generated.finish) == ("No", Finish.LENGTH)
    assert (generated.prompt_tokens, generated.tokens) == (12, 1)


async def test_a_text_in_circles_is_cut_off() -> None:
    """A text that repeats itself ends there, says so, and the server is told to stop by the closed connection."""
    async with engine_with(stream(*[piece(" no effusion")] * 100, silent=True)) as (engine, peer):
        generated = await engine.generate(PROMPT)
        assert generated.finish is Finish.REPETITION
        await until(lambda: peer.left == 1)


@pytest.mark.parametrize(
    ("told", "expected"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0), ("nan", 1.0), ("-3", 1.0), ("1e99", 1.0)]
)
@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_server_is_overloaded(status: int, told: str, expected: float) -> None:
    """429 and 503 are ModelOverloaded, with the server's Retry-After where it is a sensible number of seconds."""
    async with engine_with(raw(b"", status=status, retry_after=told)) as (engine, _):
        with pytest.raises(ModelOverloaded) as refused:
            await engine.generate(PROMPT)
        assert refused.value.retry_after_s == expected
        assert engine.stats().overloaded == 1


@pytest.mark.parametrize(
    "error",
    [
        {"message": "This model's maximum context length is 64 tokens.", "code": 400},
        {"message": "Reduce it", "code": "context_length_exceeded"},
    ],
    ids=["words", "code"],
)
async def test_a_prompt_that_the_server_finds_too_long(error: dict[str, Any]) -> None:
    """A server that takes fewer tokens than the base's config says makes it PromptTooLong, not a failure."""
    async with engine_with(answer(400, {"error": error})) as (engine, _):
        with pytest.raises(PromptTooLong):
            await engine.generate(PROMPT)


async def test_a_deadline_ends_the_wait_for_a_silent_server() -> None:
    """A server that falls silent in the middle is left at the deadline, which is counted, and its connection closed."""
    async with engine_with(stream(piece(" No"), silent=True)) as (engine, peer):
        late = 0
        while not peer.asked_for(COMPLETIONS):  # a machine that stands still has the deadline pass before it is asked
            late += 1
            with pytest.raises(DeadlinePassed):
                await engine.generate(Prompt(text="x", max_new_tokens=8, deadline=time.monotonic() + 0.3))
        assert engine.stats().late == late
        assert engine.stats().running == 0
        await until(lambda: peer.left == len(peer.asked_for(COMPLETIONS)))


async def test_a_server_that_is_away_is_used_when_it_comes_back(loras: list[LoraVersion]) -> None:
    """The engine starts without its server; prompts are ModelUnavailable until it is there."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with engine_for(url) as engine:
        engine.check_health()
    async with engine_for(url, patience=Patience(ask_every_s=0.05, gone_after_s=0.3)) as engine:
        with pytest.raises(ModelUnavailable, match="can't be reached"):
            await engine.generate(PROMPT)
        with pytest.raises(ModelUnavailable):
            await engine.ensure_lora(loras[0])
        await until(lambda: is_unhealthy(engine))
        async with run_peer({MODELS: models(BASE), COMPLETIONS: GOOD}, port):
            assert (await engine.generate(PROMPT)).text
            await until(lambda: not is_unhealthy(engine))


async def test_a_server_that_works_and_writes_nothing_is_unhealthy() -> None:
    """The server's own health counts for nothing while a prompt gets no token."""
    replies = {MODELS: models(BASE), COMPLETIONS: stream(silent=True)}
    async with run_peer(replies) as peer, engine_for(peer, patience=Patience(stalled_after_s=0.2)) as engine:
        engine.check_health()
        asking = asyncio.create_task(engine.generate(PROMPT))
        await until(lambda: is_unhealthy(engine))
        asking.cancel()
        await asyncio.wait([asking])
        engine.check_health()


async def test_a_server_with_another_base_since_its_restart_gets_no_lora(loras: list[LoraVersion]) -> None:
    """When a restarted server has another model under the same name, LoRAs made for the one before are not loaded."""
    replies = {MODELS: models(BASE | {"root": "/a"}), LOAD: answer(200, ""), COMPLETIONS: GOOD}
    async with run_peer(replies) as peer, engine_for(peer) as engine:
        lora = Prompt(text="x", lora=loras[0], max_new_tokens=8)
        await engine.generate(lora)
        replies |= {MODELS: models(BASE | {"root": "/b"}), COMPLETIONS: answer(404, {})}
        with pytest.raises(ModelUnavailable, match="from another place"):
            await engine.generate(lora)
        assert len(peer.asked_for(LOAD)) == 1


async def test_a_server_that_lets_nobody_load_says_how_it_would(loras: list[LoraVersion]) -> None:
    """Where vLLM has no address to load LoRAs, the reason names the setting that opens it; listed versions serve."""
    replies = {MODELS: models(BASE, {"id": loras[0].name, "parent": "base"}), COMPLETIONS: GOOD}
    async with run_peer(replies) as peer, engine_for(peer) as engine:
        with pytest.raises(LoraRefused, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
            await engine.ensure_lora(loras[1])
        await engine.generate(Prompt(text="x", lora=loras[0], max_new_tokens=8))
    assert peer.asked_for(COMPLETIONS)[0].body["model"] == loras[0].name


async def test_a_key_that_a_proxy_repeats_is_not_passed_on(loras: list[LoraVersion], tmp_path: Path) -> None:
    """The key goes in one header and into no message, even where the server's own words hold it."""
    (tmp_path / "key").write_text(KEY)
    refused = answer(400, {"error": {"message": f"bad request, Bearer {KEY}"}})
    async with (
        run_peer({MODELS: models(BASE), LOAD: refused}) as peer,
        engine_for(peer, api_key_file=tmp_path / "key") as engine,
    ):
        with pytest.raises(LoraRefused) as told:
            await engine.ensure_lora(loras[0])
    assert KEY not in str(told.value)
    assert f"authorization: Bearer {KEY}" in peer.asked[0].head.replace("Authorization", "authorization")


async def test_one_load_for_many_and_no_more_held_than_allowed(loras: list[LoraVersion]) -> None:
    """Prompts that ask for a cold LoRA at once cause one load; above `max_loras` one that no prompt uses goes."""
    replies = {MODELS: models(BASE), LOAD: answer(200, ""), UNLOAD: answer(200, ""), COMPLETIONS: GOOD}
    async with run_peer(replies) as peer, engine_for(peer, settings={"max_loras": 1}) as engine:
        prompts = [Prompt(text="x", lora=lora, max_new_tokens=8) for lora in loras]
        await asyncio.gather(*(engine.generate(prompts[0]) for _ in range(8)))
        assert [asked.body["lora_name"] for asked in peer.asked_for(LOAD)] == [loras[0].name]
        replies[COMPLETIONS] = stream(piece(" No"), silent=True)
        begun = asyncio.Event()
        using = asyncio.create_task(engine.generate(prompts[0], lambda _: begun.set()))
        await begun.wait()
        await engine.ensure_lora(loras[1])
        assert loras[0].name in engine.stats().loras
        using.cancel()
        await asyncio.wait([using])
        await until(lambda: len(peer.asked_for(UNLOAD)) == 1)
        assert len(engine.stats().loras) == 1


async def test_a_load_outlives_who_asked_for_it(loras: list[LoraVersion]) -> None:
    """A prompt whose deadline passes while its LoRA loads doesn't stop the load: the next prompt finds it there."""
    gate = asyncio.Event()

    async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await answer(200, "")(asked, writer)

    async with run_peer({MODELS: models(BASE), LOAD: slow, COMPLETIONS: GOOD}) as peer, engine_for(peer) as engine:
        while not peer.asked_for(LOAD):  # as above
            with pytest.raises(DeadlinePassed):
                await engine.generate(Prompt(text="x", lora=loras[0], deadline=time.monotonic() + 0.3))
        gate.set()
        await until(lambda: bool(engine.stats().loras))
        await engine.generate(Prompt(text="x", lora=loras[0], max_new_tokens=8))
        assert len(peer.asked_for(LOAD)) == 1


async def test_closing_ends_whoever_waits(loras: list[LoraVersion]) -> None:
    """Prompts and loads under way get ModelUnavailable when the engine closes, whatever the server does."""
    replies = {MODELS: models(BASE), COMPLETIONS: stream(silent=True), LOAD: stream(silent=True)}
    async with run_peer(replies) as peer, engine_for(peer) as engine:
        waiting = [
            asyncio.create_task(engine.generate(PROMPT)),
            asyncio.create_task(engine.generate(Prompt(text="x", lora=loras[0], deadline=math.inf))),
            asyncio.create_task(engine.ensure_lora(loras[1])),
        ]
        await until(lambda: (len(peer.asked_for(COMPLETIONS)), len(peer.asked_for(LOAD))) == (1, 2))
        await engine.close()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ModelUnavailable] * 3


async def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings go to the server that is configured and nowhere else, whatever proxy the environment names."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with engine_with(GOOD) as (engine, _):
        assert (await engine.generate(PROMPT)).text


@pytest.mark.parametrize(
    ("reply", "place"),
    [
        (answer(401, {}), "api_key_file"),
        (answer(404, {}), "openai.url"),
        (raw(b"<html>"), "openai.url"),
        (answer(200, {"data": [{"name": "x"}]}), "openai.url"),
        (models(), "openai.model"),
    ],
    ids=["key", "missing", "page", "shape", "empty"],
)
async def test_what_an_operator_must_change_is_told_at_the_start(reply: Reply, place: str) -> None:
    """A server that answers, and can't be used, keeps the engine from starting with the setting to look at."""
    async with run_peer({MODELS: reply}) as peer:
        with pytest.raises(ConfigError, match=place):
            async with engine_for(peer):
                pass


@pytest.mark.parametrize("content", [None, "", "two words", "a\nb", "schlüssel"])
async def test_a_bad_key_file_is_told(content: str | None, tmp_path: Path) -> None:
    """A key file that isn't there or holds more than a key is a ConfigError that doesn't repeat it."""
    if content is not None:
        (tmp_path / "key").write_text(content)
    with pytest.raises(ConfigError, match="api_key_file") as told:
        OpenAIEngine(Settings(engine="openai", openai=OpenAI(url="http://x", api_key_file=tmp_path / "key")))
    assert not content or content not in str(told.value)


async def test_a_base_without_weights_needs_its_digest_stated(tmp_path: Path) -> None:
    """Config and tokenizer are enough where `base_digest` is pinned; without it the message says where to get it."""
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((PACKAGED / "base" / name).read_bytes())
    where = {"engine": "openai", "base": tmp_path, "openai": OpenAI(url="http://x")}
    with pytest.raises(ConfigError, match="radbridge models check"):
        OpenAIEngine(Settings(**where))
    assert OpenAIEngine(Settings(**where, base_digest="a" * 64)).base_digest == "a" * 64


def is_unhealthy(engine: OpenAIEngine) -> bool:
    try:
        engine.check_health()
    except ModelError:
        return True
    return False


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for it."""
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.01)
