"""`Architecture`: what a base model is made of, by its config alone. No weights are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from radbridge_model_server.models.base_model import choose_class, find_context


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A model of the right shapes without any numbers in it."""

    config: Any
    model: Any = field(repr=False)
    quant_method: str = ""
    """How the files say that they are quantized, such as `awq`; empty: they aren't."""

    @property
    def name(self) -> str:
        """As transformers calls it, such as `LlamaForCausalLM`."""
        return type(self.model).__name__

    @property
    def context_tokens(self) -> int:
        """Tokens that it was made for."""
        return find_context(self.config)

    def matrices(self) -> dict[str, list[torch.nn.Linear]]:
        """Its layers by the last part of their name, which is what a LoRA's targets go by."""
        found: dict[str, list[torch.nn.Linear]] = {}
        for name, module in self.model.named_modules():
            if isinstance(module, torch.nn.Linear):
                found.setdefault(name.rpartition(".")[2], []).append(module)
        return found

    def layers(self) -> dict[str, tuple[int, int]]:
        """Outputs and inputs of each layer, by its whole name."""
        layers = ((name, module) for name, module in self.model.named_modules() if isinstance(module, torch.nn.Linear))
        return {name: (layer.out_features, layer.in_features) for name, layer in layers}

    def cache_values_per_token(self) -> int:
        """Numbers that attention keeps for each token, of the prompt and of the text alike."""
        text = self.config.get_text_config(decoder=True)
        layers = getattr(text, "num_decoder_layers", None) or text.num_hidden_layers
        heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        size = (
            getattr(text, "d_kv", None)
            or getattr(text, "head_dim", None)
            or text.hidden_size // text.num_attention_heads
        )
        return int(2 * layers * heads * size)


def read_architecture(folder: Path) -> Architecture:
    """The architecture that `config.json` in `folder` names. Raises ValueError for one that nobody here knows."""
    return build_architecture(AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False))


def build_architecture(config: Any) -> Architecture:
    """The architecture of a config. Raises ValueError where no text comes out of it."""
    quantized = getattr(config, "quantization_config", None) or {}
    with torch.device("meta"):
        model = choose_class(config).from_config(_strip_quantization(config), trust_remote_code=False)
    return Architecture(config=config, model=model, quant_method=str(quantized.get("quant_method", "")))


def _strip_quantization(config: Any) -> Any:
    """Shapes don't depend on it, and the library that it names may not be here."""
    return type(config)(**{key: value for key, value in config.to_dict().items() if key != "quantization_config"})
