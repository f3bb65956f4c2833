"""A base model with the LoRAs resident in it. PEFT keeps state in the model: one thread alone may use a `LoraModel`."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import StoppingCriteria, StoppingCriteriaList

from radbridge.errors import LoraRefused
from radbridge.registry import LoraVersion
from radbridge_model_server.engines.engine import Finish
from radbridge_model_server.engines.lora_rows import apply_loras
from radbridge_model_server.engines.repetition import is_looping
from radbridge_model_server.models.base_model import BaseModel

_RESTING = "resting"
"""A LoRA that no row uses: it keeps the model wrapped when no other is resident."""


@dataclass(kw_only=True, slots=True)
class Row:
    """One prompt of a batch, and what became of it."""

    prompt: Sequence[int]
    lora: LoraVersion | None
    max_new_tokens: int
    stopped: Callable[[], bool]
    """Asked at every token: does nobody wait for this row any more?"""
    on_token: Callable[[int], None] | None = None
    tokens: list[int] = field(default_factory=list)
    finish: Finish = Finish.STOP
    abandoned: bool = False


class LoraModel:
    """Loads LoRA versions on first use, keeps at most `max_loras` of them, and generates batches that mix them.

    `check` raises LoraRefused for a version that must not be loaded.
    """

    def __init__(
        self, base: BaseModel, *, targets: Sequence[str], max_loras: int, check: Callable[[LoraVersion], None]
    ) -> None:
        resting = LoraConfig(r=1, target_modules=list(targets[:1]), task_type=base.task)
        self._model: Any = get_peft_model(base.model, resting, adapter_name=_RESTING).eval()
        self._base = base
        self._max_loras = max_loras
        self._check = check
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
        self._check(version)
        while len(self._slots) >= self._max_loras:
            self.drop(next(v for v in self._slots if v not in keep))
        slot = f"slot{next(self._numbers)}"
        try:
            result = self._model.load_adapter(
                str(version.path), adapter_name=slot, torch_device=str(self._model.device), low_cpu_mem_usage=True
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
        ids, mask = self._pad([row.prompt for row in rows])
        slots = [self._slots[row.lora] if row.lora else None for row in rows]
        with torch.inference_mode(), apply_loras(self._model, slots):
            self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max(row.max_new_tokens for row in rows),
                do_sample=False,
                num_beams=1,
                pad_token_id=self._base.pad,
                eos_token_id=sorted(self._base.eos),
                stopping_criteria=StoppingCriteriaList([_RowLimits(rows, self._base.eos)]),
            )

    def _pad(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """The prompts as one tensor, and which of it is prompt. A decoder goes on from its end, on the right."""
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), self._base.pad)
        mask = torch.zeros((len(prompts), width), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            place = slice(len(prompt)) if self._base.task == "SEQ_2_SEQ_LM" else slice(width - len(prompt), width)
            ids[row, place] = torch.tensor(prompt)
            mask[row, place] = 1
        return ids.to(self._model.device), mask.to(self._model.device)

    def _forget(self, slot: str) -> None:
        if slot in self._model.peft_config:
            self._model.delete_adapter(slot)
        self._model.set_adapter(_RESTING)


class _RowLimits(StoppingCriteria):
    """Ends each row on its own terms: end token, length, a loop, or nobody waiting."""

    def __init__(self, rows: Sequence[Row], eos: frozenset[int]) -> None:
        self._rows = rows
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
        if row.on_token:
            row.on_token(token)
        if row.stopped():
            row.abandoned = True
        elif is_looping(row.tokens):
            row.finish = Finish.REPETITION
        elif len(row.tokens) >= row.max_new_tokens:
            row.finish = Finish.LENGTH
        else:
            return False
        return True
