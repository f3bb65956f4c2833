"""Who generates: vLLM where it is installed, else transformers + PEFT in mixed batches. Both take token ids."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch

from tests.support.bare_vllm import BareVllm, Lora

_BASE = "__base__"
"""PEFT's word for a row without LoRA."""


class Writer(Protocol):
    """Continues prompts by the base or by the n-th LoRA, many at once."""

    async def write(self, ids: Sequence[int], lora: int | None, new_tokens: int) -> tuple[int, ...]: ...

    def close(self) -> None: ...


class VllmWriter:
    """vLLM batches by itself."""

    def __init__(self, vllm: BareVllm, loras: Sequence[Path]) -> None:
        self.vllm = vllm
        self.loras = [Lora(name=path.name, number=n, path=path) for n, path in enumerate(loras, 1)]

    async def write(self, ids: Sequence[int], lora: int | None, new_tokens: int) -> tuple[int, ...]:
        chosen = None if lora is None else self.loras[lora]
        return (await self.vllm.write(ids, chosen, new_tokens)).tokens

    def close(self) -> None:
        self.vllm.close()


class PeftWriter:
    """Prompts of one length that came while a batch ran are the next batch."""

    def __init__(self, model: Any, *, max_batch: int = 64) -> None:
        self.model = model
        self._max_batch = max_batch
        self._waiting: list[tuple[list[int], str, asyncio.Future[tuple[int, ...]]]] = []
        self._running: asyncio.Task[None] | None = None

    async def write(self, ids: Sequence[int], lora: int | None, new_tokens: int) -> tuple[int, ...]:
        answer: asyncio.Future[tuple[int, ...]] = asyncio.get_running_loop().create_future()
        self._waiting.append((list(ids), _BASE if lora is None else str(lora), answer))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._work(new_tokens))
        return await answer

    def close(self) -> None:
        self.model = None

    async def _work(self, new_tokens: int) -> None:
        await asyncio.sleep(0)  # whoever asks in this turn of the loop is in the first batch
        while batch := self._waiting[: self._max_batch]:
            del self._waiting[: len(batch)]
            made = await asyncio.to_thread(self._generate, [b[0] for b in batch], [b[1] for b in batch], new_tokens)
            for (_, _, answer), tokens in zip(batch, made, strict=True):
                answer.set_result(tuple(tokens))

    def _generate(self, prompts: list[list[int]], names: list[str], new_tokens: int) -> list[list[int]]:
        ids = torch.tensor(prompts, device=self.model.device)
        is_bare = set(names) == {_BASE}
        mixed = {} if is_bare else {"adapter_names": names}
        with torch.inference_mode(), self.model.disable_adapter() if is_bare else nullcontext():
            made = self.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=new_tokens,
                min_new_tokens=new_tokens,
                do_sample=False,
                **mixed,
            )
        return [row[len(prompts[0]) :] for row in made.tolist()]
