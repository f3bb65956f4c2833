"""A base model with the LoRAs resident in it. PEFT keeps state in the model: one thread alone may use a `LoraModel`."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, StoppingCriteria, StoppingCriteriaList

from radbridge.errors import LoraRefused
from radbridge.registry import LoraVersion
from radbridge_model_server.engine import Finish
from radbridge_model_server.lora_check import check_lora

_BASE = "__base__"
"""PEFT's word for a row without LoRA."""
_RESTING = "resting"
"""A LoRA that no row uses: it keeps the model wrapped when no other is resident."""
_LONGEST_PERIOD = 32
_LOOP_TOKENS = 12


@dataclass(kw_only=True, slots=True)
class Row:
    """One prompt of a batch, and what became of it."""

    prompt: Sequence[int]
    lora: LoraVersion | None
    max_new_tokens: int
    stopped: Callable[[], bool]
    """Asked at every token: does nobody wait for this row any more?"""
    tokens: list[int] = field(default_factory=list)
    finish: Finish = Finish.STOP
    abandoned: bool = False


class LoraModel:
    """Loads LoRA versions on first use, keeps at most `max_loras` of them, and generates batches that mix them."""

    def __init__(self, base: Path, *, base_digest: str, max_loras: int, max_rank: int, device: str) -> None:
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, local_files_only=True)
        config: Any = model.config
        self.context_tokens = int(config.max_position_embeddings)
        eos = model.generation_config.eos_token_id if model.generation_config else None
        self._eos = {eos} if isinstance(eos, int) else set(eos or [config.eos_token_id])
        self._pad = config.pad_token_id if config.pad_token_id is not None else min(self._eos)
        resting = LoraConfig(r=1, target_modules=["q_proj"], task_type="CAUSAL_LM")
        self._model: Any = get_peft_model(model.to(device), resting, adapter_name=_RESTING).eval()
        self._device = device
        self._base_digest = base_digest
        self._max_loras = max_loras
        self._max_rank = max_rank
        self._slots: OrderedDict[LoraVersion, str] = OrderedDict()
        self._numbers = itertools.count(1)

    @property
    def loras(self) -> tuple[str, ...]:
        """Names of the resident versions, least recently used first."""
        return tuple(version.name for version in self._slots)

    def load(self, version: LoraVersion, keep: frozenset[LoraVersion] = frozenset()) -> None:
        """Make a version resident; the least recently used one outside `keep` gives way. Raises LoraRefused."""
        if version in self._slots:
            self._slots.move_to_end(version)
            return
        check_lora(version, base_digest=self._base_digest, max_rank=self._max_rank)
        while len(self._slots) >= self._max_loras:
            self.drop(next(v for v in self._slots if v not in keep))
        slot = f"slot{next(self._numbers)}"
        try:
            result = self._model.load_adapter(
                str(version.path), adapter_name=slot, torch_device=self._device, low_cpu_mem_usage=True
            )
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            self._forget(slot)
            raise LoraRefused(version.name, f"PEFT can't load it ({type(error).__name__})") from None
        if result.unexpected_keys or any(slot in key for key in result.missing_keys):
            self._forget(slot)
            raise LoraRefused(version.name, "its tensors don't fit the base model's layers")
        self._slots[version] = slot

    def drop(self, version: LoraVersion) -> None:
        """Free a version's memory."""
        slot = self._slots.pop(version, None)
        if slot is not None:
            self._forget(slot)

    def generate(self, rows: Sequence[Row]) -> None:
        """Continue every row, greedily, and fill in its tokens and finish. Their LoRAs must be resident."""
        width = max(len(row.prompt) for row in rows)
        ids = [[self._pad] * (width - len(row.prompt)) + list(row.prompt) for row in rows]
        mask = [[0] * (width - len(row.prompt)) + [1] * len(row.prompt) for row in rows]
        limits = _RowLimits(rows, width, self._eos)
        with torch.inference_mode():
            self._model.generate(
                input_ids=torch.tensor(ids, device=self._device),
                attention_mask=torch.tensor(mask, device=self._device),
                adapter_names=[_BASE if row.lora is None else self._slots[row.lora] for row in rows],
                max_new_tokens=max(row.max_new_tokens for row in rows),
                do_sample=False,
                num_beams=1,
                pad_token_id=self._pad,
                eos_token_id=sorted(self._eos),
                stopping_criteria=StoppingCriteriaList([limits]),
            )

    def _forget(self, slot: str) -> None:
        if slot in self._model.peft_config:
            self._model.delete_adapter(slot)
        self._model.set_adapter(_RESTING)


class _RowLimits(StoppingCriteria):
    """Ends each row on its own terms: end token, length, a loop, or nobody waiting."""

    def __init__(self, rows: Sequence[Row], width: int, eos: set[int]) -> None:
        self._rows = rows
        self._width = width
        self._eos = eos
        self._done = [False] * len(rows)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        for index, (row, token) in enumerate(zip(self._rows, input_ids[:, -1].tolist(), strict=True)):
            if not self._done[index]:
                self._done[index] = self._take(row, token)
        return torch.tensor(self._done, device=input_ids.device)

    def _take(self, row: Row, token: int) -> bool:
        if token in self._eos:
            return True
        row.tokens.append(token)
        if row.stopped():
            row.abandoned = True
        elif is_looping(row.tokens):
            row.finish = Finish.REPETITION
        elif len(row.tokens) >= row.max_new_tokens:
            row.finish = Finish.LENGTH
        else:
            return False
        return True


def is_looping(tokens: Sequence[int]) -> bool:
    """Whether the text ends in one block said at least three times over, at least twelve tokens in all."""
    for period in range(1, min(_LONGEST_PERIOD, len(tokens) // 3) + 1):
        length = period * max(3, -(-_LOOP_TOKENS // period))
        tail = tokens[-length:]
        if len(tail) == length and tail[period:] == tail[:-period]:
            return True
    return False
