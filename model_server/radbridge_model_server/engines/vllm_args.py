"""What vLLM is started with, from the model server's settings."""

from __future__ import annotations

import logging
import os
from typing import Any, get_args

from vllm import AsyncEngineArgs
from vllm.config import VllmConfig
from vllm.config.lora import MaxLoRARanks

from radbridge.errors import ConfigError
from radbridge_model_server.settings import Settings

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}
_CPU_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # the cores are shared with Ray and the gateway
}
_CPU_LORA = "radbridge_model_server.engines.vllm_cpu_lora"
_ASKED_FOR = {"nf4": "bitsandbytes", "fp8": "fp8"}
"""Done while vLLM loads. AWQ and GPTQ are in the files, and vLLM picks the fastest kernel when nothing is said."""


def set_environment(settings: Settings) -> None:
    """What vLLM reads from the environment, here and in the processes that it starts; what is set already stays."""
    environment = _ENVIRONMENT
    if settings.device == "cpu":
        environment = environment | _CPU_ENVIRONMENT | {"OMP_NUM_THREADS": str(settings.threads)}
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"])  # imported by now, and told otherwise


def build_args(settings: Settings) -> AsyncEngineArgs:
    """The engine's arguments; `vllm.args` in the settings wins. Raises ConfigError for a name that isn't vLLM's."""
    args: dict[str, Any] = {
        "model": str(settings.base),
        "dtype": "float32" if settings.device == "cpu" else "auto",
        "max_model_len": settings.context_tokens,
        "max_num_seqs": settings.max_batch,
        "enable_prefix_caching": True,
        "enable_lora": True,
        "max_loras": settings.max_loras,
        "max_cpu_loras": resident_loras(settings),
        "max_lora_rank": _round_up(settings.max_rank),
        "quantization": _ASKED_FOR.get(settings.quantization),
        "gpu_memory_utilization": settings.vllm.gpu_memory_utilization,
        "tensor_parallel_size": settings.vllm.tensor_parallel_size,
        "enforce_eager": settings.vllm.enforce_eager,
        "disable_log_stats": True,
    }
    if settings.device == "cpu":
        args["worker_extension_cls"] = f"{_CPU_LORA}.CpuLora"
    try:
        return AsyncEngineArgs(**args | settings.vllm.args)
    except TypeError as error:
        raise ConfigError([f"vllm.args: {error}"]) from None


def build_config(settings: Settings) -> VllmConfig:
    """The configuration in vLLM's own terms. Raises ConfigError where vLLM can't do what the settings ask for."""
    try:
        config = build_args(settings).create_engine_config()
    except ValueError as error:
        raise ConfigError([f"vLLM refuses these settings: {error}"]) from None
    found = config.model_config.quantization or "none"
    if settings.quantization in {"awq", "gptq"} and not found.startswith(settings.quantization):
        raise ConfigError([f"quantization: {settings.base} isn't {settings.quantization}, vLLM says {found}"])
    return config


def resident_loras(settings: Settings) -> int:
    """How many LoRAs are in memory at once: never fewer than one batch may need."""
    return max(settings.max_loras, settings.vllm.max_cpu_loras)


def _round_up(rank: int) -> int:
    """The next rank that vLLM can make room for."""
    ranks: tuple[int, ...] = get_args(MaxLoRARanks)
    return next((r for r in ranks if r >= rank), ranks[-1])
