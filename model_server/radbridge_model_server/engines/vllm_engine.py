"""The engine on vLLM (AsyncLLM), with an explicit LoRA request per prompt.

What vLLM leaves open is decided here: which LoRAs are in memory (`ResidentLoras`, each verified before every load), who
goes next (`Admission`), and under which names. vLLM keys its prefix cache by LoRA name and serves stale text when one
name changes its weights (vllm#42125), or has two numbers (vllm#30931): so a version's name and number are its own for
ever, and its name salts the cache once more.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from transformers import AutoTokenizer
from vllm import SamplingParams
from vllm.inputs.engine import tokens_input
from vllm.lora.request import LoRARequest
from vllm.outputs import RequestOutput
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from radbridge.errors import DeadlinePassed, LoraRefused, ModelOverloaded, ModelUnavailable, PromptTooLong
from radbridge.registry import LoraVersion, digest_weights
from radbridge_model_server.engines.admission import Admission, AdmissionLimits
from radbridge_model_server.engines.engine import EngineStats, Finish, Generated, OnText, Prompt
from radbridge_model_server.engines.lora_check import check_lora, read_rules
from radbridge_model_server.engines.repetition import is_looping
from radbridge_model_server.engines.resident_loras import ResidentLoras
from radbridge_model_server.engines.start import name_base, read_prompt_version
from radbridge_model_server.engines.vllm_args import build_config, resident_loras, set_environment
from radbridge_model_server.settings import Settings

_T = TypeVar("_T")

_DEAD = "vLLM's engine process has ended; the replica has to be replaced"
_RETRY_S = (0.5, 30.0)
_STOP_S = 5.0
_FINISHES = {"stop": Finish.STOP, "length": Finish.LENGTH}


@dataclass(kw_only=True, slots=True)
class _Counts:
    generated: int = 0
    tokens: int = 0
    late: int = 0
    overloaded: int = 0


class VllmEngine:
    """An `Engine` around a running `AsyncLLM`. Made and used on one event loop.

    Unhealthy is one that produces no token for `stall_s` seconds while prompts are under way.
    """

    def __init__(self, llm: AsyncLLM, settings: Settings, *, base_digest: str, stall_s: float = 60.0) -> None:
        self.model = name_base(settings)
        self.base_digest = base_digest
        self.prompt_version = read_prompt_version(settings)
        self.context_tokens = int(llm.model_config.max_model_len)
        self._llm = llm
        self._settings = settings
        self._rules = read_rules(settings, base_digest)
        self._stall_s = stall_s
        self._tokenizer: Any = AutoTokenizer.from_pretrained(settings.base, local_files_only=True)
        # Twice the batch: the next prompt is in vLLM's own queue before a place in the batch is free.
        self._admission = Admission(AdmissionLimits(places=2 * settings.max_batch, max_loras=settings.max_loras))
        self._loras = ResidentLoras(limit=resident_loras(settings), check=self._check, load=self._load, drop=self._drop)
        self._counts = _Counts()
        self._under_way = 0
        self._progress = time.monotonic()
        self._text_s = 1.0
        self._closed = False
        self._patiences: set[asyncio.Timeout] = set()
        self._quiet = asyncio.Event()

    def count_tokens(self, text: str) -> int:
        return len(self._encode(text))

    async def generate(self, prompt: Prompt, on_text: OnText | None = None) -> Generated:
        asked = time.monotonic()
        ids = self._encode(prompt.text)
        self._refuse_hopeless(prompt, len(ids))
        try:
            async with asyncio.timeout(_time_left(prompt)) as patience, self._ended_by_close(patience):
                return await self._wait_and_write(prompt, ids, on_text or _ignore, asked)
        except TimeoutError:
            self._refuse_dead()
            self._counts.late += 1
            raise DeadlinePassed(round(prompt.deadline - asked, 3)) from None

    async def ensure_lora(self, version: LoraVersion) -> None:
        self._refuse_dead()
        async with self._loras.use(version):
            pass

    async def retire_lora(self, version: LoraVersion) -> None:
        self._refuse_dead()
        await self._loras.retire(version)

    def check_health(self) -> None:
        self._refuse_dead()
        silent_s = time.monotonic() - self._progress
        if self._under_way and silent_s > self._stall_s:
            raise ModelUnavailable(f"vLLM has produced nothing for {silent_s:.0f} s; the replica has to be replaced")

    def stats(self) -> EngineStats:
        return EngineStats(
            queued=self._admission.waiting,
            running=self._admission.running,
            generated=self._counts.generated,
            batches=self._counts.generated,  # each text joins the batch by itself
            tokens=self._counts.tokens,
            late=self._counts.late,
            overloaded=self._counts.overloaded,
            loras=self._loras.names,
        )

    async def close(self) -> None:
        self._closed = True
        self._quiet.clear()
        for patience in self._patiences:
            if not patience.expired():
                patience.reschedule(0)
        if self._patiences:
            await self._quiet.wait()
        if reader := self._llm.output_handler:  # vLLM ends its process first, and then logs that its reader lost it
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        await asyncio.to_thread(self._llm.shutdown, _STOP_S)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text)["input_ids"]
        return ids

    @asynccontextmanager
    async def _ended_by_close(self, patience: asyncio.Timeout) -> AsyncIterator[None]:
        self._patiences.add(patience)
        try:
            yield
        finally:
            self._patiences.remove(patience)
            if not self._patiences:
                self._quiet.set()

    def _refuse_hopeless(self, prompt: Prompt, tokens: int) -> None:
        self._refuse_dead()
        limit = self.context_tokens - prompt.max_new_tokens
        if tokens > limit:
            raise PromptTooLong(tokens, limit)
        if self._admission.waiting >= self._settings.max_queue:
            self._counts.overloaded += 1
            raise ModelOverloaded(self._retry_after_s())

    def _refuse_dead(self) -> None:
        if self._closed:
            raise ModelUnavailable("the model server is stopping")
        if self._llm.errored or not self._is_process_alive():
            raise ModelUnavailable(_DEAD)

    def _is_process_alive(self) -> bool:
        """Asks the operating system: vLLM may not have noticed yet (vllm#16259)."""
        manager = self._llm.engine_core.resources.engine_manager
        return manager is not None and not manager.finished_procs()

    def _retry_after_s(self) -> float:
        """About when the prompts that wait now are done, by what a text takes of late."""
        rounds = (self._admission.waiting + self._admission.running) / self._settings.max_batch
        shortest, longest = _RETRY_S
        return round(min(longest, max(shortest, rounds * self._text_s)), 1)

    async def _wait_and_write(self, prompt: Prompt, ids: list[int], on_text: OnText, asked: float) -> Generated:
        async with AsyncExitStack() as held:
            await held.enter_async_context(self._admission.admit(prompt.lora.name if prompt.lora else None))
            if prompt.lora:
                await held.enter_async_context(self._loras.use(prompt.lora))
            began = time.monotonic()
            text, tokens, finish = await self._write(prompt, ids, on_text)
        engine_s = time.monotonic() - began
        self._text_s += 0.2 * (engine_s - self._text_s)
        self._counts.generated += 1
        self._counts.tokens += tokens
        return Generated(
            text=text.strip(),
            finish=finish,
            prompt_tokens=len(ids),
            tokens=tokens,
            queue_ms=(began - asked) * 1000,
            engine_ms=engine_s * 1000,
        )

    async def _write(self, prompt: Prompt, ids: list[int], on_text: OnText) -> tuple[str, int, Finish]:
        """The text, its tokens without the end token, and why it ended. Leaving early aborts the request in vLLM."""
        text, tokens, reason = "", list[int](), None
        try:
            with self._watch():
                async with aclosing(self._ask(prompt, ids)) as outputs:
                    async for output in outputs:
                        self._progress = time.monotonic()
                        piece = output.outputs[0]
                        text, reason = text + piece.text, piece.finish_reason
                        if piece.text:
                            on_text(piece.text)
                        if _extend_until_loop(tokens, piece.token_ids):
                            return text, len(tokens), Finish.REPETITION
        except (EngineDeadError, EngineGenerateError) as error:
            raise ModelUnavailable(f"vLLM failed ({type(error).__name__})") from None
        if reason not in _FINISHES:
            raise ModelUnavailable(f"vLLM ended the text without a reason of its own ({reason})")
        return text, len(tokens) - (reason == "stop"), _FINISHES[reason]

    def _ask(self, prompt: Prompt, ids: list[int]) -> AsyncGenerator[RequestOutput, None]:
        outputs: AsyncGenerator[RequestOutput, None] = self._llm.generate(
            tokens_input(ids, cache_salt=prompt.lora.name if prompt.lora else None),
            SamplingParams(temperature=0, max_tokens=prompt.max_new_tokens, output_kind=RequestOutputKind.DELTA),
            uuid.uuid4().hex,
            lora_request=_request(prompt.lora) if prompt.lora else None,
        )
        return outputs

    @contextmanager
    def _watch(self) -> Iterator[None]:
        """Work is under way: from now on tokens are expected."""
        if not self._under_way:
            self._progress = time.monotonic()
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _check(self, version: LoraVersion) -> None:
        await asyncio.to_thread(check_lora, version, self._rules)

    async def _load(self, version: LoraVersion) -> None:
        try:
            await self._call(self._llm.add_lora(_request(version)))
        except ModelUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - vLLM hands on whatever its worker raised as a bare Exception
            await self._drop(version)  # one that fails half-way stays in vLLM's count
            raise LoraRefused(version.name, f"vLLM can't load it ({_first_line(error)})") from None

    async def _drop(self, version: LoraVersion) -> None:
        await self._call(self._llm.remove_lora(version.number))

    async def _call(self, answer: Coroutine[Any, Any, _T]) -> _T:
        """What vLLM's process answers. It never does once it is gone, and vLLM doesn't say so."""
        try:
            async with asyncio.timeout(self._stall_s) as patience, self._ended_by_close(patience):
                return await answer
        except (EngineDeadError, TimeoutError):
            raise ModelUnavailable(_DEAD) from None


def _time_left(prompt: Prompt) -> float | None:
    return None if math.isinf(prompt.deadline) else prompt.deadline - time.monotonic()


def _request(version: LoraVersion) -> LoRARequest:
    return LoRARequest(lora_name=version.name, lora_int_id=version.number, lora_path=str(version.path))


def _extend_until_loop(tokens: list[int], more: Iterable[int]) -> bool:
    for token in more:
        tokens.append(token)
        if is_looping(tokens):
            return True
    return False


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _ignore(_: str) -> None:
    return


async def start_engine(settings: Settings) -> VllmEngine:
    """`engine: vllm`, its model loaded. Blocks the event loop meanwhile, which vLLM binds itself to."""
    set_environment(settings)
    llm = AsyncLLM.from_vllm_config(build_config(settings), disable_log_stats=True)
    return VllmEngine(llm, settings, base_digest=await asyncio.to_thread(digest_weights, settings.base))
