"""8-bit and 4-bit weights for the transformers engine, by bitsandbytes, on CPU and GPU. LoRAs on top stay whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers import BitsAndBytesConfig
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import get_keys_to_not_convert
from transformers.quantizers.quantizer_bnb_4bit import Bnb4BitHfQuantizer
from transformers.quantizers.quantizers_utils import should_convert_module

from radbridge_model_server.settings import Quantization

_NF4 = "radbridge_nf4"
_BLOCK = 64
_SMALL_BLOCK = 32


def configure_quantization(quantization: Quantization, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    """What `from_pretrained` is told; `dtype` is what products are computed in. Raises ValueError for vLLM's forms."""
    if quantization == "none":
        return None
    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    if quantization == "nf4":
        return _Nf4Config(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    raise ValueError(f"quantization: {quantization} is for engine vllm")


def find_quantized(model: Any) -> Iterator[tuple[str, torch.nn.Linear]]:
    """The matrices that are quantized, by name: all but the head and what the architecture keeps in 32 bits."""
    kept = [*get_keys_to_not_convert(model), *(model._keep_in_fp32_modules or ())]  # noqa: SLF001 - it has no public name
    for name, module in model.named_modules():
        if type(module) is torch.nn.Linear and should_convert_module(name, kept):
            yield name, module


@register_quantization_config(_NF4)
class _Nf4Config(BitsAndBytesConfig):
    """Chooses `_Nf4Quantizer`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.quant_method: Any = _NF4


@register_quantizer(_NF4)
class _Nf4Quantizer(Bnb4BitHfQuantizer):
    """Gives a layer whose rows aren't made of whole blocks of 64 weights blocks of 32.

    bitsandbytes 0.50 misreads a block that spans two rows on a CPU: the weights come out as noise.
    """

    def _process_model_before_weight_loading(self, model: Any, *args: Any, **kwargs: Any) -> None:
        super()._process_model_before_weight_loading(model, *args, **kwargs)
        for module in model.modules():
            if hasattr(getattr(module, "weight", None), "blocksize") and module.in_features % _BLOCK:
                module.weight.blocksize = _SMALL_BLOCK
