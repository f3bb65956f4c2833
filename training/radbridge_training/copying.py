"""Plants the circuit that copies into a fresh model, so that training starts from copying instead of finding it.

A transformer copies with an induction circuit: a first layer in which every token learns what stood before it, and a
second one in which a token looks for the place that has the same past, and takes over what came next there. It forms
by itself after some millions of tokens, which is an hour that two cores don't have. Here it is written into the first
weights by hand (a "mimetic" initialization): some coordinates of the residual stream hold a random code of the token
(`code`), others the codes of tokens some way before it (`past`). Nothing is frozen: training may change all of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

_SCALE = 0.08  # of a code's entries in the residual stream
_CONSTANT = 0.3  # one coordinate is the same for all tokens: what looks only at positions reads it
_UNITS = (14, 21, 28, 32)  # where the code ends, and each part of the past, in 36ths of the residual stream
_SHARPNESS = 10.0  # of looking back by one token, in logits
_MATCH = ((18.0, 0.5), (18.0, 0.3), (18.0, 0.2))
"""For the token, the one before it and the one before that: the logits for agreeing in it with the past of the place
that is looked for, and its share of a head's slow coordinates.
"""
_NOISE = 0.1  # of what the rest of the model says at first, against its usual start
_GAIN = 4.0  # of the copied token over the one that is read
_MATCHERS = 4  # heads of the second layer that look for the place
_SLOWEST_TURN = 0.012  # radians a token: a pair of coordinates that turns faster forgets what it matched


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Which coordinates of the residual stream hold what."""

    code: slice
    past: tuple[slice, ...]
    constant: int


def plant_copying(model: LlamaForCausalLM) -> None:
    """Writes the circuit into the embedding and the first two layers, which need four heads with keys of their own."""
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
    ends = [unit * units for units in _UNITS]
    past = tuple(slice(a, b) for a, b in pairwise(ends))
    return Layout(code=slice(0, ends[0]), past=past, constant=hidden - 1)


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
    cuts = [0, *accumulate(round(len(places) * share) for _, share in _MATCH)]
    half = layout.code.stop // 2
    for head in range(_MATCHERS):
        rows = slice(head * width, (head + 1) * width)
        for weight in (attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight):
            weight[rows] = 0
        attention.o_proj.weight[:, rows] = 0
        for age, (logits, _) in enumerate(_MATCH):
            at = torch.tensor(places[slice(*cuts[age : age + 2])]) + head * width
            key = layout.past[age]
            size = key.stop - key.start
            strength = math.sqrt(logits * math.sqrt(width) / len(at))
            mix = torch.randn(len(at), size) / math.sqrt(size) * strength
            attention.k_proj.weight[at, key] = mix
            if age == 0:
                attention.q_proj.weight[at, layout.code] = mix @ projection
            else:
                newer = layout.past[age - 1].start
                attention.q_proj.weight[at, newer : newer + size] = mix
        part = slice(head % 2 * half, (head % 2 + 1) * half)
        attention.v_proj.weight[head * width : head * width + half, part] = torch.eye(half)
        attention.o_proj.weight[part, head * width : head * width + half] = (
            torch.eye(half) * _GAIN * _SCALE * 2 / _MATCHERS
        )


def _turns(model: LlamaForCausalLM) -> list[float]:
    """Radians by which each pair of a head's coordinates turns from one token to the next."""
    frequencies: list[float] = model.model.rotary_emb.inv_freq.tolist()
    return frequencies
