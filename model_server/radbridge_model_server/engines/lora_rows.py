"""Applies a LoRA of its own to each row of a batch, in two products a layer.

PEFT's mixed batch (`adapter_names`) walks through the LoRAs in Python at every layer and token; on a small model that
takes as long as one draft after the other. Here the LoRAs of the rows are laid side by side once a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.lora import LoraLayer


@contextmanager
def apply_loras(model: Any, slots: Sequence[str | None]) -> Iterator[None]:
    """Within, row n of every input goes through the LoRA in PEFT's slot `slots[n]`; None: the base alone."""
    layers: list[Any] = [module for module in model.modules() if isinstance(module, LoraLayer)]
    try:
        for layer in layers:
            layer.forward = _mix(layer, slots)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)  # the class's own is back


def _mix(layer: Any, slots: Sequence[str | None]) -> Callable[..., torch.Tensor]:
    """A layer's forward: base(x) + (x A) B, row by row; whatever the base layer is, quantized or not."""
    base = layer.get_base_layer()
    chosen = {row: slot for row, slot in enumerate(slots) if slot in layer.lora_A}
    if not chosen:
        forward: Callable[..., torch.Tensor] = base.forward
        return forward
    rank = max(layer.r[slot] for slot in chosen.values())
    like = layer.lora_A[next(iter(chosen.values()))].weight
    down = like.new_zeros(len(slots), layer.in_features, rank)
    up = like.new_zeros(len(slots), rank, layer.out_features)
    for row, slot in chosen.items():
        down[row, :, : layer.r[slot]] = layer.lora_A[slot].weight.T
        up[row, : layer.r[slot]] = layer.lora_B[slot].weight.T * layer.scaling[slot]

    def mix(x: torch.Tensor, *args: Any, **named: Any) -> torch.Tensor:
        plain: torch.Tensor = base(x, *args, **named)
        change: torch.Tensor = x.to(down.dtype) @ down @ up
        return plain + change.to(plain.dtype)

    return mix
