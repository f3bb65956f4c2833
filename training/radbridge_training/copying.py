"""Plants the circuit that copies into a fresh model, so that training starts from copying instead of finding it.

A transformer copies with an induction circuit: a first layer in which every token learns what stood before it, and a
second one in which a token looks for the place that has the same past, and takes over what came next there. It forms
by itself after some millions of tokens, which is an hour that two cores don't have. Here it is written into the first
weights by hand (a "mimetic" initialization): some coordinates of the residual stream hold a random code of the token
(`code`), others the codes of the one, two and three tokens before it (`past`). Nothing is frozen: training may change
all of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

_SCALE = 0.08  # of a code's entries in the residual stream
_CONSTANT = 0.3  # one coordinate is the same for all tokens: what looks only at positions reads it
_SHARPNESS = 10.0  # of looking back by one token, in logits
_MATCH = (18.0, 18.0, 18.0)  # logits for agreeing in the token, the one before and the one before that
_NOISE = 0.1  # of what the rest of the model says at first, against its usual start
_GAIN = 4.0  # of the copied token over the one that is read
_MATCHERS = 4
_SLOWEST_TURN = 0.012  # radians a token: a pair of coordinates that turns faster forgets what it matched


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Which coordinates of the residual stream hold what."""

    code: slice
    past: tuple[slice, slice, slice]
    constant: int


def plant_copying(model: LlamaForCausalLM) -> None:
    """Writes the circuit into the first two layers and the embedding. Needs two layers and three full heads."""
    config = model.config
    layout = _lay_out(config.hidden_size)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.mul_(_NOISE)
        embedding = model.model.embed_tokens.weight
        embedding.mul_(0.1)
        embedding[:, layout.code] = torch.randn_like(embedding[:, layout.code]) * _SCALE
        embedding[:, layout.constant] = _CONSTANT
        projection = _project(layout.past[0], layout.code)
        _plant_past(model, layout, projection)
        _plant_match(model, layout, projection)


def _lay_out(hidden: int) -> Layout:
    unit = hidden // 36
    code, long, short = 14 * unit, 7 * unit, 4 * unit
    ends = (code, code + long, code + 2 * long, code + 2 * long + short)
    past = tuple(slice(a, b) for a, b in pairwise(ends))
    return Layout(code=slice(0, code), past=(past[0], past[1], past[2]), constant=hidden - 1)


def _project(to: slice, code: slice) -> Tensor:
    size = code.stop - code.start
    return torch.randn(to.stop - to.start, size) / math.sqrt(size)


def _plant_past(model: LlamaForCausalLM, layout: Layout, projection: Tensor) -> None:
    """In the first layer, head n looks back by n + 1 tokens and notes the code found there."""
    attention = model.model.layers[0].self_attn
    width, turns = attention.head_dim, _turns(model)
    fast = [i for i, turn in enumerate(turns) if turn > 0.03]
    rms = math.sqrt(((layout.code.stop * _SCALE**2) + _CONSTANT**2) / model.config.hidden_size)
    fall = sum(1 - math.cos(turns[i]) for i in fast)
    amplitude = math.sqrt(_SHARPNESS * math.sqrt(width) / fall) * rms / _CONSTANT
    for head, past in enumerate(layout.past):
        rows = slice(head * width, (head + 1) * width)
        for weight in (attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight):
            weight[rows] = 0
        attention.o_proj.weight[:, rows] = 0
        for i in fast:
            angle = turns[i] * (head + 1)
            attention.q_proj.weight[head * width + i, layout.constant] = amplitude
            attention.k_proj.weight[head * width + i, layout.constant] = amplitude * math.cos(angle)
            attention.k_proj.weight[head * width + i + width // 2, layout.constant] = amplitude * math.sin(angle)
        size = past.stop - past.start
        attention.v_proj.weight[head * width : head * width + size, layout.code] = projection[:size]
        attention.o_proj.weight[past, head * width : head * width + size] = torch.eye(size) * rms


def _plant_match(model: LlamaForCausalLM, layout: Layout, projection: Tensor) -> None:
    """In the second layer, two heads look for the same past and take over half of the code found there each."""
    attention = model.model.layers[1].self_attn
    width, turns = attention.head_dim, _turns(model)
    slow = [i for i, turn in enumerate(turns) if turn <= _SLOWEST_TURN]
    places = [*slow, *(i + width // 2 for i in slow)]
    cuts = (0, len(places) // 2, len(places) * 4 // 5, len(places))
    half = layout.code.stop // 2
    for head in range(_MATCHERS):
        rows = slice(head * width, (head + 1) * width)
        for weight in (attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight):
            weight[rows] = 0
        attention.o_proj.weight[:, rows] = 0
        for age, logits in enumerate(_MATCH):
            taken = places[cuts[age] : cuts[age + 1]]
            past = layout.past[age]
            size = past.stop - past.start
            mix = torch.randn(len(taken), size) / math.sqrt(size) * math.sqrt(logits * math.sqrt(width) / len(taken))
            at = torch.tensor(taken) + head * width
            if age == 0:
                attention.q_proj.weight[at, layout.code] = mix @ projection
            else:
                newer = layout.past[age - 1]
                attention.q_proj.weight[at, newer.start : newer.start + size] = mix
            attention.k_proj.weight[at, past] = mix
        part = slice(head % 2 * half, (head % 2 + 1) * half)
        attention.v_proj.weight[head * width : head * width + half, part] = torch.eye(half)
        attention.o_proj.weight[part, head * width : head * width + half] = (
            torch.eye(half) * _GAIN * _SCALE * 2 / _MATCHERS
        )


def _turns(model: LlamaForCausalLM) -> list[float]:
    """Radians by which each pair of a head's coordinates turns from one token to the next."""
    frequencies: list[float] = model.model.rotary_emb.inv_freq.tolist()
    return frequencies
