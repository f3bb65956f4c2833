"""The models on disk and in memory: made once from a shape, loaded in one precision after the other."""

from __future__ import annotations

import gc
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tests.gpu.shape import Shape
from tests.support.walking_model import CALM, make_lora, make_model


def has(package: str) -> bool:
    """Whether it is installed."""
    return importlib.util.find_spec(package) is not None


def write_models(folder: Path, shape: Shape, *, loras: int, device: str) -> tuple[Path, list[Path]]:
    """A base and its LoRAs, as PEFT and vLLM read them: 16 bits on a GPU, 32 on a CPU."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model = make_model(shape.config, CALM, device=device, dtype=dtype)
    model.save_pretrained(folder / "base")
    del model
    free_memory()
    made = [
        make_lora(folder / f"lora{seed}", shape.config, CALM, seed=seed, rank=shape.rank, dtype=dtype)
        for seed in range(loras)
    ]
    return folder / "base", made


def load_peft(base: Path, loras: Sequence[Path], precision: str, device: str) -> Any:
    """A model by transformers + PEFT, with every LoRA resident; `precision` is a torch dtype's name, or nf4."""
    if precision == "nf4":
        how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
        model: Any = AutoModelForCausalLM.from_pretrained(
            base, quantization_config=how, dtype=torch.bfloat16, device_map={"": device}
        )
    else:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, precision), device_map={"": device})
    wrapped: Any = PeftModel.from_pretrained(model, str(loras[0]), adapter_name="0")
    for slot, path in enumerate(loras[1:], 1):
        wrapped.load_adapter(str(path), adapter_name=str(slot))
    return wrapped.eval()


def vllm_arguments(shape: Shape, precision: str, device: str, loras: int) -> dict[str, Any]:
    """Arguments for one precision, by vLLM's own names."""
    arguments: dict[str, Any] = {
        "skip_tokenizer_init": True,
        "enable_lora": True,
        "max_loras": loras,
        "max_cpu_loras": loras,
        "max_lora_rank": max(8, shape.rank),
        "max_model_len": shape.context_tokens,
        "max_num_seqs": max(shape.concurrencies),
        "dtype": "bfloat16" if precision == "nf4" else precision,
        "enforce_eager": device == "cpu",
        "enable_prefix_caching": False,
        "gpu_memory_utilization": 0.85,  # this process keeps a CUDA context beside
    }
    return arguments | ({"quantization": "bitsandbytes"} if precision == "nf4" else {})


def set_environment(device: str) -> None:
    """What vLLM reads before it starts; on a CPU it would take nine tenths of the memory."""
    here = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"} if device == "cpu" else {}
    os.environ.update({"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"} | here)


def free_memory() -> None:
    """Give back what Python and torch keep."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
