"""What a model writes for prompts, in batches: greedily the words that an engine would write, or drawn at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

_BATCH = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What was written for one prompt."""

    text: str = field(repr=False)
    finished: bool
    """Whether the model ended it, and not the limit."""


def generate(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    most: int,
    temperature: float = 0.0,
) -> Iterator[tuple[int, Answer]]:
    """An answer of at most `most` tokens for each of the prompts, with its place: short prompts first.

    With a `temperature` it is drawn at random, by torch's own generator.
    """
    model.eval()
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    for start in range(0, len(order), _BATCH):
        places = order[start : start + _BATCH]
        answers = _generate_batch(model, tokenizer, [prompts[place] for place in places], most, temperature)
        yield from zip(places, answers, strict=True)


def _generate_batch(
    model: Any, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Sequence[int]], most: int, temperature: float
) -> list[Answer]:
    width, pad = max(map(len, prompts)), _pad_of(tokenizer)
    ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=model.device)
    how = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    with torch.inference_mode():
        out = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=most, num_beams=1, pad_token_id=pad, **how
        )
    ends = _ends_of(model)
    return [_read(row, tokenizer, ends) for row in out[:, width:].tolist()]


def _read(tokens: list[int], tokenizer: PreTrainedTokenizerBase, ends: frozenset[int]) -> Answer:
    end = next((place for place, token in enumerate(tokens) if token in ends), None)
    text = tokenizer.decode(tokens[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Answer(text=str(text).strip(), finished=end is not None)


def _pad_of(tokenizer: PreTrainedTokenizerBase) -> int:
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)


def _ends_of(model: Any) -> frozenset[int]:
    ends = model.generation_config.eos_token_id
    return frozenset([ends] if isinstance(ends, int) else ends or ())
