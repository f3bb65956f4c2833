"""What a LoRA must be before it is loaded: made for this base and prompt, and of a form that vLLM can serve too."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from safetensors import SafetensorError, safe_open

from radbridge.errors import LoraRefused
from radbridge.prompt import PROMPT_VERSION
from radbridge.registry import PEFT_CONFIG, WEIGHTS, LoraVersion, verify

SERVABLE_TARGETS = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})
_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".ckpt"})
_MUST_BE_OFF = (
    "use_dora",
    "modules_to_save",
    "lora_bias",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
)


def check_lora(
    version: LoraVersion,
    *,
    base_digest: str,
    max_rank: int,
    prompt_version: str = PROMPT_VERSION,
    targets: Iterable[str] = SERVABLE_TARGETS,
) -> None:
    """Raise LoraRefused, with the reason, for a LoRA that must not be loaded. Reads its files once.

    `targets` are the modules of the base that a LoRA may change: the settings' `lora_targets`.
    """
    for wrong, reason in (
        (version.base_digest != base_digest, "it was trained on another base model (base digest differs)"),
        (version.prompt_version != prompt_version, f"its prompt version isn't {prompt_version}"),
        (version.rank > max_rank, f"its rank {version.rank} is above {max_rank}"),
        (version.rank < 1, "its rank is below 1"),
        (not version.targets, "it names no target modules"),
        (not set(targets).issuperset(version.targets), "it has target modules that can't be served"),
    ):
        if wrong:
            raise LoraRefused(version.name, reason)
    if any(path.suffix in _PICKLES for path in version.path.iterdir()):
        raise LoraRefused(version.name, "it holds pickled weights; only safetensors are loaded")
    verify(version)
    _check_config(version)
    _check_tensors(version)


def _check_config(version: LoraVersion) -> None:
    config: dict[str, Any] = json.loads((version.path / PEFT_CONFIG).read_bytes())
    if config.get("peft_type") != "LORA":
        raise LoraRefused(version.name, "its PEFT type isn't LORA")
    if config.get("bias", "none") != "none":
        raise LoraRefused(version.name, "it trains biases")
    for key in _MUST_BE_OFF:
        if config.get(key):
            raise LoraRefused(version.name, f"it uses {key}, which can't be served")


def _check_tensors(version: LoraVersion) -> None:
    try:
        with safe_open(version.path / WEIGHTS, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - safe_open is no mapping
                side = next((s for s in ("lora_A", "lora_B") if f".{s}." in name), None)
                if side is None:
                    raise LoraRefused(version.name, "it holds tensors that aren't a plain LoRA's")
                tensor = weights.get_tensor(name)
                if tensor.ndim != 2 or tensor.shape[0 if side == "lora_A" else 1] != version.rank:
                    raise LoraRefused(version.name, "a tensor's rank isn't the stated one")
                if not tensor.isfinite().all():
                    raise LoraRefused(version.name, "it holds NaN or infinite weights")
    except SafetensorError:
        raise LoraRefused(version.name, f"{WEIGHTS} is damaged") from None
