"""The base model in a folder: decoder-only (Llama, Mistral) or encoder-decoder (T5), whole or quantized."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from radbridge_model_server.models.quantization import configure_quantization
from radbridge_model_server.settings import Quantization

TaskType = Literal["CAUSAL_LM", "SEQ_2_SEQ_LM"]
"""PEFT's word for how a model is asked."""

_CONTEXT_TOKENS = 512
"""Of a model that doesn't say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseModel:
    """A model ready for LoRAs, and what its config says about it."""

    model: Any
    task: TaskType
    context_tokens: int
    """Tokens that it was made for, unless the settings say otherwise."""
    eos: frozenset[int]
    pad: int


def load_base(
    folder: Path, *, device: str, quantization: Quantization = "none", context_tokens: int | None = None
) -> BaseModel:
    """Load safetensors from `folder`: no pickle is opened, no code in it run. Raises what transformers raises."""
    dtype = choose_dtype(device)
    config: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
    model: Any = choose_class(config).from_pretrained(
        folder,
        dtype=dtype,
        device_map=device,
        quantization_config=configure_quantization(quantization, dtype),
        use_safetensors=True,
        local_files_only=True,
    )
    eos = (model.generation_config or config).eos_token_id
    ends = frozenset([eos] if isinstance(eos, int) else eos or [config.eos_token_id])
    return BaseModel(
        model=model.eval(),
        task="SEQ_2_SEQ_LM" if config.is_encoder_decoder else "CAUSAL_LM",
        context_tokens=context_tokens or find_context(config),
        eos=ends,
        pad=min(ends) if config.pad_token_id is None else config.pad_token_id,
    )


def choose_class(config: Any) -> Any:
    """What makes a model of a config."""
    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def choose_dtype(device: str) -> torch.dtype:
    """What weights that aren't quantized are kept in: a CPU is faster with 32 bits, a GPU with 16."""
    return torch.float32 if device == "cpu" else torch.bfloat16


def find_context(config: Any) -> int:
    """Tokens that a model was made for. T5's positions are relative: it names what it was trained on, `n_positions`."""
    return int(getattr(config, "max_position_embeddings", 0) or getattr(config, "n_positions", 0) or _CONTEXT_TOKENS)
