"""Batches of token ids for the curriculum: examples of like length together, the same for the same seed and step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from radbridge_training.imitation import make_imitations
from radbridge_training.recipe import Data, Phase
from radbridge_training.task import WHOLE, make_examples, make_token_copy

_POOL = 8  # batches that are drawn and sorted together
_DRAWN = 32  # examples


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Token ids padded on the right, and for each the weight of the loss in predicting it."""

    ids: Tensor
    weights: Tensor


def make_batches(
    phase: Phase, *, data: Data, tokenizer: PreTrainedTokenizerBase, seed: str, first: int
) -> Iterator[Batch]:
    """The batches of `phase` from the one numbered `first` on."""
    for pool in range(first // _POOL, -(-phase.steps // _POOL)):
        rng = Random(f"{seed} {pool}")
        batches = _cut(_draw_pool(phase, data, tokenizer, rng), phase, rng)
        yield from batches[first - pool * _POOL if pool == first // _POOL else 0 :][: phase.steps - pool * _POOL]


Encoded = tuple[list[int], list[int]]


def encode(prompt: str, target: str, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    """Prompt and target as ids, apart, so that no token spans the two."""
    return tokenizer(prompt, verbose=False)["input_ids"], [
        *tokenizer(target, verbose=False)["input_ids"],
        int(tokenizer.eos_token_id),
    ]


def _draw_pool(phase: Phase, data: Data, tokenizer: PreTrainedTokenizerBase, rng: Random) -> list[Encoded]:
    wanted = phase.batch_tokens * _POOL
    imitations = make_imitations(rng.getrandbits(48))
    pool: list[Encoded] = []
    total = 0
    while total < wanted:
        sights = Counter(rng.choices(list(phase.sights), list(phase.sights.values()), k=_DRAWN))
        examples = [
            *islice(imitations, sights["statement"]),
            *make_examples(rng.getrandbits(48), sum(sights[s] for s in WHOLE), data=data, sights=phase.sights),
        ]
        drawn = [_copy_tokens(rng, tokenizer) for _ in range(sights["tokens"])]
        drawn += [encode(e.prompt, e.target, tokenizer) for e in examples]
        drawn = [d for d in drawn if len(d[0]) + len(d[1]) <= phase.max_tokens]
        pool += drawn
        total += sum(len(p) + len(t) for p, t in drawn)
    return pool


def _copy_tokens(rng: Random, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    prompt, target = make_token_copy(rng, tokenizer)
    return prompt, [*target, int(tokenizer.eos_token_id)]


def _cut(pool: list[Encoded], phase: Phase, rng: Random) -> list[Batch]:
    """`_POOL` batches of about the same number of tokens each."""
    pool.sort(key=lambda e: len(e[0]) + len(e[1]))
    share = -(-sum(len(p) + len(t) for p, t in pool) // _POOL)
    groups: list[list[Encoded]] = [[]]
    tokens = 0
    for example in pool:
        if tokens >= share * len(groups) and len(groups) < _POOL:
            groups.append([])
        groups[-1].append(example)
        tokens += len(example[0]) + len(example[1])
    while len(groups) < _POOL:
        groups.append(groups[-1])
    rng.shuffle(groups)
    return [_pad(group, phase.prompt_loss) for group in groups]


def _pad(group: list[Encoded], prompt_loss: float) -> Batch:
    width = max(len(p) + len(t) for p, t in group)
    ids = torch.zeros((len(group), width), dtype=torch.long)
    weights = torch.zeros((len(group), width))
    for row, (prompt, target) in enumerate(group):
        end = len(prompt) + len(target)
        ids[row, :end] = torch.tensor([*prompt, *target])
        weights[row, : len(prompt)] = prompt_loss
        weights[row, len(prompt) : end] = 1.0
    return Batch(ids=ids, weights=weights)
