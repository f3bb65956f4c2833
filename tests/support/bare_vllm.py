"""vLLM's own `AsyncLLM` with nothing of RadBridge around it: what its users get, to measure beside."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, kw_only=True, slots=True)
class Lora:
    """What vLLM asks to know of one."""

    name: str
    number: int
    path: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A continuation, as token ids and, with a tokenizer, as text."""

    tokens: tuple[int, ...]
    text: str
    cached: int
    """Prompt tokens that weren't computed again."""


class BareVllm:
    """One engine in its own process. `await BareVllm.start(base, …)`, then `write`, then `close`."""

    def __init__(self, llm: Any) -> None:
        self.llm = llm
        self._requests = itertools.count()

    @classmethod
    async def start(cls, base: Path, **args: Any) -> Self:
        """`args` by vLLM's own names. Raises what vLLM raises."""
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        engine_args = AsyncEngineArgs(model=str(base), disable_log_stats=True, **args)
        return cls(AsyncLLM.from_engine_args(engine_args))

    async def write(
        self, prompt: str | Sequence[int], lora: Lora | None, new_tokens: int, *, salt: str | None = None
    ) -> Written:
        """A greedy continuation of exactly so many tokens."""
        from vllm import SamplingParams

        params = SamplingParams(temperature=0.0, max_tokens=new_tokens, ignore_eos=True)
        asked: dict[str, Any] = {"prompt": prompt} if isinstance(prompt, str) else {"prompt_token_ids": list(prompt)}
        if salt:
            asked["cache_salt"] = salt
        last = await self._run(asked, params, lora)
        piece = last.outputs[0]
        return Written(tokens=tuple(piece.token_ids), text=str(piece.text), cached=int(last.num_cached_tokens or 0))

    async def score(self, ids: Sequence[int], lora: Lora | None, first: int) -> list[tuple[float, bool]]:
        """For each token from `first` on: its log probability, and whether it is the most likely one."""
        from vllm import SamplingParams

        params = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=1)
        asked = {"prompt_token_ids": list(ids)}
        last = await self._run(asked, params, lora)
        told = [last.prompt_logprobs[place][ids[place]] for place in range(first, len(ids))]
        return [(float(token.logprob), token.rank == 1) for token in told]

    async def load(self, lora: Lora, *, in_place: bool = False) -> None:
        """Load a LoRA ahead; in place: over the one that has its number."""
        await self.llm.add_lora(_request(lora, in_place=in_place))

    def close(self) -> None:
        """End the engine's process."""
        with suppress(Exception):
            self.llm.shutdown()

    async def _run(self, asked: dict[str, Any], params: Any, lora: Lora | None) -> Any:
        name = f"bare-{next(self._requests)}"
        last: Any = None
        async for output in self.llm.generate(asked, params, name, lora_request=_request(lora)):
            last = output
        return last


def _request(lora: Lora | None, *, in_place: bool = False) -> Any:
    if lora is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(lora.name, lora.number, str(lora.path), load_inplace=in_place)
