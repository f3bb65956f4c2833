"""The configs of public base models, by their shapes: what `config.json` in a real folder says, without any weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import LlamaConfig, MistralConfig, PretrainedConfig, T5Config

from tests.support.tiny_model import make_tokenizer

_LLAMA_2_7B: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
}
_MISTRAL_7B = _LLAMA_2_7B | {
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
    "max_position_embeddings": 32768,
    "sliding_window": 4096,
}
_LLAMA_3_8B = _LLAMA_2_7B | {
    "vocab_size": 128256,
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "bos_token_id": 128000,
    "eos_token_id": 128009,
}
_LLAMA_3_2_3B = _LLAMA_3_8B | {
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "head_dim": 128,
    "max_position_embeddings": 131072,
    "tie_word_embeddings": True,
    "eos_token_id": 128001,
}
_FLAN_T5_XL: dict[str, Any] = {
    "vocab_size": 32128,
    "d_model": 2048,
    "d_kv": 64,
    "d_ff": 5120,
    "num_layers": 24,
    "num_heads": 32,
    "n_positions": 512,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "decoder_start_token_id": 0,
}
_AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
_GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False}

SHAPES: dict[str, PretrainedConfig] = {
    "llama-3.2-3b": LlamaConfig(**_LLAMA_3_2_3B),
    "llama-2-7b": LlamaConfig(**_LLAMA_2_7B),
    "llama-3-8b-instruct": LlamaConfig(**_LLAMA_3_8B),
    "mistral-7b-awq": MistralConfig(**_MISTRAL_7B | {"quantization_config": _AWQ}),
    "mistral-7b-gptq": MistralConfig(**_MISTRAL_7B | {"quantization_config": _GPTQ}),
    "mistral-7b-nf4": MistralConfig(**_MISTRAL_7B),
    "mistral-7b-fp8": MistralConfig(**_MISTRAL_7B),
    "flan-t5-xl": T5Config(**_FLAN_T5_XL),
    "openai": LlamaConfig(**_LLAMA_3_8B),
}
"""By the name of their file in `model_server/configs/`."""


def make_folder(folder: Path, name: str) -> Path:
    """A folder with the config of a public model and a tokenizer of bytes, but no weights."""
    SHAPES[name].save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder
