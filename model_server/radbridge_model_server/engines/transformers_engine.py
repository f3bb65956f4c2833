"""The engine on transformers + PEFT: one thread owns the model and works off a queue in batches that mix LoRAs."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import torch
from transformers import AutoTokenizer

from radbridge.errors import LoraRefused, ModelOverloaded, ModelUnavailable, PromptTooLong
from radbridge.registry import LoraVersion, digest_weights
from radbridge_model_server.engines.engine import EngineStats, Generated, OnText, Prompt
from radbridge_model_server.engines.lora_check import check_lora, read_rules
from radbridge_model_server.engines.lora_model import LoraModel, Row
from radbridge_model_server.engines.prompt_job import PromptJob
from radbridge_model_server.engines.start import name_base, read_prompt_version
from radbridge_model_server.engines.text_stream import TextStream
from radbridge_model_server.models.base_model import load_base
from radbridge_model_server.settings import Settings

_STALL_S = 60.0
"""An engine at work that produces no token for so long is unhealthy."""
_RETRY_S = (0.5, 30.0)


class TransformersEngine:
    """An `Engine` for the model in a folder. `start` loads it, in the engine's thread, and returns when it answers."""

    def __init__(self, settings: Settings) -> None:
        self.model = name_base(settings)
        self.base_digest = digest_weights(settings.base)
        self.prompt_version = read_prompt_version(settings)
        self.context_tokens = 0
        self._settings = settings
        self._rules = read_rules(settings, self.base_digest)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(settings.base, local_files_only=True)
        self._tokenizing = threading.Lock()
        self._work = threading.Condition()
        self._jobs: deque[PromptJob] = deque()
        self._calls: deque[tuple[Callable[[LoraModel], None], Future[None]]] = deque()
        self._running: tuple[PromptJob, ...] = ()
        self._closing = False
        self._progress = time.monotonic()
        self._batch_s = 1.0
        self._generated = self._batches = self._tokens = self._late = self._overloaded = 0
        self._loras: tuple[str, ...] = ()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._started: Future[None] = Future()

    async def start(self) -> None:
        """Load the base model. Raises whatever loading it raises."""
        self._thread.start()
        await asyncio.wrap_future(self._started)

    def count_tokens(self, text: str) -> int:
        return len(self._encode(text))

    async def generate(self, prompt: Prompt, on_text: OnText | None = None) -> Generated:
        stream = TextStream(self._decode) if on_text else None
        job = PromptJob(prompt=prompt, ids=self._encode(prompt.text), on_text=on_text, stream=stream)
        limit = self.context_tokens - prompt.max_new_tokens
        if len(job.ids) > limit:
            raise PromptTooLong(len(job.ids), limit)
        with self._work:
            if self._closing:
                raise ModelUnavailable
            if len(self._jobs) >= self._settings.max_queue:
                self._overloaded += 1
                prompts = len(self._jobs) + len(self._running)
                raise ModelOverloaded(retry_after_s(prompts, self._settings.max_batch, self._batch_s))
            self._jobs.append(job)
            self._work.notify()
        try:
            return await asyncio.wrap_future(job.answer)
        except asyncio.CancelledError:
            job.cancelled = True
            raise

    async def ensure_lora(self, version: LoraVersion) -> None:
        await self._call(lambda model: model.load(version))

    async def retire_lora(self, version: LoraVersion) -> None:
        await self._call(lambda model: model.drop(version))

    def check_health(self) -> None:
        if not self._thread.is_alive():
            raise ModelUnavailable("the engine's thread has ended; restart the model server")
        silent_s = time.monotonic() - self._progress
        if self._running and silent_s > _STALL_S:
            raise ModelUnavailable(f"the engine has produced nothing for {silent_s:.0f} s; restart the model server")

    def stats(self) -> EngineStats:
        return EngineStats(
            queued=len(self._jobs),
            running=len(self._running),
            generated=self._generated,
            batches=self._batches,
            tokens=self._tokens,
            late=self._late,
            overloaded=self._overloaded,
            loras=self._loras,
        )

    async def close(self) -> None:
        with self._work:
            self._closing = True
            self._work.notify()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)

    def _encode(self, text: str) -> list[int]:
        with self._tokenizing:
            ids: list[int] = self._tokenizer(text)["input_ids"]
        return ids

    def _decode(self, tokens: Sequence[int]) -> str:
        # Cleaning up takes spaces back that a stream has told already.
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    async def _call(self, action: Callable[[LoraModel], None]) -> None:
        done: Future[None] = Future()
        with self._work:
            if self._closing:
                raise ModelUnavailable
            self._calls.append((action, done))
            self._work.notify()
        await asyncio.wrap_future(done)

    def _run(self) -> None:
        try:
            model = self._load()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the start
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        while self._wait():
            self._answer_calls(model)
            batch = self._take_batch()
            if batch:
                self._answer_batch(model, batch)
        self._refuse_rest()

    def _load(self) -> LoraModel:
        settings = self._settings
        torch.set_num_threads(settings.threads)
        base = load_base(
            settings.base,
            device=settings.device,
            quantization=settings.quantization,
            context_tokens=settings.context_tokens,
        )
        self.context_tokens = base.context_tokens
        return LoraModel(base, targets=settings.lora_targets, max_loras=settings.max_loras, check=self._check)

    def _check(self, version: LoraVersion) -> None:
        check_lora(version, self._rules)

    def _wait(self) -> bool:
        """Wait for work, and a little longer for company; False when closing."""
        with self._work:
            self._work.wait_for(lambda: self._jobs or self._calls or self._closing)
            if len(self._jobs) == 1 and not self._closing:
                enough = self._settings.max_batch
                wait_s = self._settings.batch_wait_ms / 1000
                self._work.wait_for(lambda: len(self._jobs) >= enough or self._closing, wait_s)
            return not self._closing

    def _answer_calls(self, model: LoraModel) -> None:
        while self._calls:
            action, done = self._calls.popleft()
            if done.set_running_or_notify_cancel():
                self._settle(done, action, model)

    def _take_batch(self) -> list[PromptJob]:
        """The longest waiting jobs, of no more LoRAs than may be resident; late and cancelled ones are dropped."""
        batch: list[PromptJob] = []
        loras: set[LoraVersion] = set()
        with self._work:
            waiting, self._jobs = self._jobs, deque()
            for job in waiting:
                lora = {job.prompt.lora} if job.prompt.lora else set()
                if len(batch) >= self._settings.max_batch or len(loras | lora) > self._settings.max_loras:
                    self._jobs.append(job)
                elif job.answer.set_running_or_notify_cancel():
                    if job.is_late:
                        self._late += 1
                        job.fail_late()
                        continue
                    loras |= lora
                    batch.append(job)
            self._running = tuple(batch)
        return batch

    def _answer_batch(self, model: LoraModel, batch: list[PromptJob]) -> None:
        began = self._progress = time.monotonic()
        try:
            ready = self._load_loras(model, batch)
            rows = [self._row(job) for job in ready]
            if rows:
                model.generate(rows)
                self._batches += 1
                self._batch_s += 0.2 * (time.monotonic() - began - self._batch_s)
            self._loras = model.loras
            self._running = ()
            for job, row in zip(ready, rows, strict=True):
                self._answer(job, row, began)
        except Exception as error:  # noqa: BLE001 - one bad batch must not end the engine
            for job in batch:
                job.fail(ModelUnavailable(f"the engine failed ({type(error).__name__})"))
        finally:
            self._running = ()

    def _load_loras(self, model: LoraModel, batch: list[PromptJob]) -> list[PromptJob]:
        keep = frozenset(job.prompt.lora for job in batch if job.prompt.lora)
        ready = []
        for job in batch:
            try:
                if job.prompt.lora:
                    model.load(job.prompt.lora, keep)
                ready.append(job)
            except LoraRefused as refusal:
                job.fail(refusal)
        return ready

    def _row(self, job: PromptJob) -> Row:
        def stopped() -> bool:
            self._progress = time.monotonic()
            return job.cancelled or self._progress > job.prompt.deadline

        return Row(
            prompt=job.ids,
            lora=job.prompt.lora,
            max_new_tokens=job.prompt.max_new_tokens,
            stopped=stopped,
            on_token=job.hear,
        )

    def _answer(self, job: PromptJob, row: Row, began: float) -> None:
        if row.abandoned:
            self._late += not job.cancelled
            job.fail_late()
            return
        self._generated += 1
        self._tokens += len(row.tokens)
        job.end_stream()
        job.answer.set_result(
            Generated(
                text=self._decode(row.tokens).strip(),
                finish=row.finish,
                prompt_tokens=len(job.ids),
                tokens=len(row.tokens),
                queue_ms=(began - job.asked) * 1000,
                engine_ms=(time.monotonic() - began) * 1000,
            )
        )

    def _refuse_rest(self) -> None:
        for job in self._jobs:
            job.refuse()
        for _, done in self._calls:
            if done.set_running_or_notify_cancel():
                done.set_exception(ModelUnavailable("the model server is stopping"))

    def _settle(self, done: Future[None], action: Callable[[LoraModel], None], model: LoraModel) -> None:
        try:
            action(model)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the call
            done.set_exception(error)
        else:
            self._loras = model.loras
            done.set_result(None)


def retry_after_s(prompts: int, max_batch: int, batch_s: float) -> float:
    """When about so many prompts are done, by the seconds that a batch takes of late: not at once, nor in a minute."""
    shortest, longest = _RETRY_S
    return round(min(longest, max(shortest, math.ceil(prompts / max_batch) * batch_s)), 1)


async def start_engine(settings: Settings) -> TransformersEngine:
    """`engine: transformers`, its model loaded."""
    engine = TransformersEngine(settings)
    await engine.start()
    return engine
