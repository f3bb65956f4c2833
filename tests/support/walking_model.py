"""Random Llamas of any shape whose greedy text never ends and never goes in circles: every draft costs the same.

The output layer's rows are the embeddings, moved on by one along a single cycle through the vocabulary: every token
calls for the next one of the cycle, and attention, MLP and LoRA pull it elsewhere often enough that all of them count.
The end token's row is zero, below the best of thousands at every step. Needs torch and transformers alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

SPECIAL_TOKENS = 3
"""Padding, end and beginning are the first ids, as in the packaged tokenizer."""
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_LAYER_VARIANCE = 0.8
"""What one layer of unit-variance weights adds to the residual stream, about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gait:
    """How the model walks."""

    pull: float
    """Standard deviations between the logit of the cycle's next token and those of the others, about."""
    sharpness: float
    """Of queries and keys: above 1, attention looks at a few tokens, and the text depends on each of them."""
    lora_share: float
    """A LoRA's part of a projection's output."""


LIVELY = Gait(pull=5.0, sharpness=3.0, lora_share=0.3)
"""A text depends on every token before it and on the LoRA: stale or foreign weights show at once."""
CALM = Gait(pull=6.0, sharpness=0.7, lora_share=0.4)
"""Small errors stay small, as in a trained model: what rounding costs can be measured."""


def make_model(
    config: LlamaConfig, gait: Gait, *, seed: int = 7, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> Any:
    """The model, made where it is to stay."""
    dice = torch.Generator(device).manual_seed(seed)
    with torch.device(device):
        model: Any = LlamaForCausalLM(config)
    model = model.to(dtype).eval()
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Linear):
                sharpness = gait.sharpness if name.endswith(("q_proj", "k_proj")) else 1.0
                module.weight.normal_(0, sharpness * module.in_features**-0.5, generator=dice)
        _draw_cycle(model, gait, dice)
    return model


def _draw_cycle(model: Any, gait: Gait, dice: torch.Generator) -> None:
    """Embeddings, and the output layer that answers each with its successor."""
    config, table, head = model.config, model.model.embed_tokens.weight, model.lm_head.weight
    share = min(0.9, gait.pull / math.sqrt(config.hidden_size))
    spread = share * math.sqrt(config.num_hidden_layers * _LAYER_VARIANCE / (1 - share**2))
    table.normal_(0, spread, generator=dice)
    words = config.vocab_size - SPECIAL_TOKENS
    order = SPECIAL_TOKENS + torch.randperm(words, generator=dice, device=table.device)
    head.zero_()
    head[order.roll(-1)] = table[order] / (spread * math.sqrt(config.hidden_size))


def make_lora(
    folder: Path, config: LlamaConfig, gait: Gait, *, seed: int, rank: int = 16, dtype: torch.dtype = torch.float32
) -> Path:
    """A random LoRA of that rank on every projection, as PEFT saves it."""
    dice = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for layer in range(config.num_hidden_layers):
        for name, (wide, high) in _projections(config).items():
            place = f"base_model.model.model.layers.{layer}.{name}"
            tensors[f"{place}.lora_A.weight"] = torch.randn(rank, wide, generator=dice).mul_(wide**-0.5).to(dtype)
            tensors[f"{place}.lora_B.weight"] = (
                torch.randn(high, rank, generator=dice).mul_(gait.lora_share / math.sqrt(rank)).to(dtype)
            )
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(_describe(rank)))
    return folder


def _projections(config: LlamaConfig) -> Mapping[str, tuple[int, int]]:
    """Name -> width of input and output."""
    hidden, inner = config.hidden_size, config.intermediate_size
    head = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
    queries, keys = config.num_attention_heads * head, (config.num_key_value_heads or config.num_attention_heads) * head
    return {
        "self_attn.q_proj": (hidden, queries),
        "self_attn.k_proj": (hidden, keys),
        "self_attn.v_proj": (hidden, keys),
        "self_attn.o_proj": (queries, hidden),
        "mlp.gate_proj": (hidden, inner),
        "mlp.up_proj": (hidden, inner),
        "mlp.down_proj": (inner, hidden),
    }


def _describe(rank: int) -> dict[str, object]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(TARGETS),
        "inference_mode": True,
    }
