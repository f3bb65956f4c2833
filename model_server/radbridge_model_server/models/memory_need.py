"""What a model needs of a machine's or a GPU's memory, by arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from radbridge_model_server.models.architecture import Architecture
from radbridge_model_server.models.quantization import find_quantized
from radbridge_model_server.settings import Quantization, Settings

GIB = 2**30
_BITS: dict[Quantization, float] = {"int8": 8, "fp8": 8, "nf4": 4.5, "awq": 4.25, "gptq": 4.25}
"""Of one quantized weight and its part of the scales: NF4 has 32 bits for 64 weights, AWQ and GPTQ about 32 for 128."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryNeed:
    """Bytes for weights, for the attention cache of a full batch, and for as many LoRAs as may be in memory."""

    weights: int
    cache: int
    loras: int

    @property
    def gib(self) -> float:
        """All of it; the program itself takes about 1 GiB more."""
        return (self.weights + self.cache + self.loras) / GIB


def estimate_memory(architecture: Architecture, settings: Settings) -> MemoryNeed:
    """For every batch full, every prompt as long as the context, and every LoRA of the highest rank."""
    size = 4 if settings.device == "cpu" else 2
    lora_size = 4 if settings.engine == "transformers" else size  # PEFT computes LoRAs in 32 bits
    tokens = settings.max_batch * (settings.context_tokens or architecture.context_tokens)
    return MemoryNeed(
        weights=_weigh(architecture, settings.quantization, size),
        cache=tokens * architecture.cache_values_per_token() * size,
        loras=settings.max_loras
        * settings.max_rank
        * _count_lora_rows(architecture, settings.lora_targets)
        * lora_size,
    )


def _weigh(architecture: Architecture, quantization: Quantization, size: int) -> int:
    parameters: int = sum(p.numel() for p in architecture.model.parameters())
    if quantization == "none":
        return parameters * size
    quantized = sum(module.weight.numel() for _, module in find_quantized(architecture.model))
    return int((parameters - quantized) * size + quantized * _BITS[quantization] / 8)


def _count_lora_rows(architecture: Architecture, targets: Sequence[str]) -> int:
    """Numbers in a LoRA of rank 1."""
    matrices = architecture.matrices()
    return sum(m.in_features + m.out_features for target in targets for m in matrices.get(target, ()))
