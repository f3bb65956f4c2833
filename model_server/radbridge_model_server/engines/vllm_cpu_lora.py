"""A correction of vLLM on a CPU: beside LoRA prompts, the base model's got a LoRA's weights (vllm#48421, #49656).

Its CPU kernels take -1, "no LoRA", as an index: of the last LoRA. On a GPU the kernels leave such rows out. vLLM loads
this module in its worker, by the name in `worker_extension_cls`. Delete it with the first vLLM that doesn't need it.
"""

from __future__ import annotations

import torch
from vllm.lora.ops.torch_ops import lora_ops
from vllm.lora.punica_wrapper import punica_cpu

_shrink = lora_ops.bgmv_shrink


class CpuLora:
    """What vLLM mixes into its worker: nothing, importing it is enough."""


def _shrink_lora_rows(
    inputs: torch.Tensor, weights: torch.Tensor, output: torch.Tensor, indices: torch.Tensor, scaling: float = 1.0
) -> None:
    """The LoRA's first half, zero for rows without one: then its second half adds nothing to them."""
    _shrink(inputs, weights, output, indices, scaling)
    output[indices == -1] = 0


lora_ops.bgmv_shrink = punica_cpu.bgmv_shrink = _shrink_lora_rows
