"""The base model: a small Llama, so that transformers, PEFT and vLLM all serve it as they serve a large one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
)

from radbridge.prompt import PROMPT_VERSION
from radbridge.registry import digest_weights, write_manifest
from radbridge_training.copying import plant_copying
from radbridge_training.recipe import Shape
from radbridge_training.staging import put, stage

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The layers that a LoRA changes: all that vLLM can serve."""
_MAX_NEW_TOKENS = 256
_ROPE_THETA = 1e6  # more of a head's coordinates turn slowly enough to compare tokens that are far apart


def build_model(shape: Shape, tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """A model with fresh weights."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.positions,
        rope_parameters={"rope_type": "default", "rope_theta": _ROPE_THETA},
        tie_word_embeddings=True,
        **special_ids(tokenizer),
    )
    model = LlamaForCausalLM(config)
    if shape.planted:
        plant_copying(model)
    model.generation_config = GenerationConfig(
        do_sample=False, max_new_tokens=_MAX_NEW_TOKENS, **special_ids(tokenizer)
    )
    return model


def special_ids(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """The ids of padding, begin and end."""
    return {f"{name}_token_id": int(getattr(tokenizer, f"{name}_token_id")) for name in ("pad", "bos", "eos")}


def load_base(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    """The model in `folder`, with float32 weights, and its tokenizer."""
    model: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    return model, tokenizer


def weigh_loss(model: LlamaForCausalLM, ids: Tensor, weights: Tensor) -> Tensor:
    """The mean cross-entropy over the tokens that have a weight. Padding stands on the right: causality hides it."""
    hidden = model.model(input_ids=ids[:, :-1]).last_hidden_state
    counted = weights[:, 1:] > 0
    logits = model.lm_head(hidden[counted])
    losses = torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][counted], reduction="none")
    weight = weights[:, 1:][counted]
    return (losses * weight).sum() / weight.sum()


def save_base(
    folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, *, name: str, trained: dict[str, object]
) -> str:
    """Writes model (bfloat16), tokenizer and manifest, whole or not at all. Returns the digest."""
    staged = stage(folder)
    state = {key: value.detach().to(torch.bfloat16) for key, value in model.state_dict().items()}
    model.config.dtype = torch.bfloat16
    model.save_pretrained(staged, state_dict=state)
    tokenizer.save_pretrained(staged)
    digest = digest_weights(staged)
    parameters = sum(p.numel() for p in model.parameters())
    told = {
        "name": name,
        "digest": digest,
        "prompt_version": PROMPT_VERSION,
        "parameters": parameters,
        "trained": trained,
    }
    write_manifest(staged, told)
    put(staged, folder)
    return digest
