"""What a LoRA must be before it is loaded: made for this base and prompt, and of a form that vLLM can serve too."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from safetensors import SafetensorError, safe_open

from radbridge.errors import LoraRefused
from radbridge.prompt import Template, readable_versions
from radbridge.registry import PEFT_CONFIG, WEIGHTS, LoraVersion, verify
from radbridge_model_server.models.architecture import read_architecture
from radbridge_model_server.settings import Settings

SERVABLE_TARGETS = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})
_TENSOR = re.compile(r"base_model\.model\.(?P<layer>.+)\.lora_(?P<side>[AB])\.weight")
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


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraRules:
    """What a base demands of its LoRAs."""

    base_digest: str
    max_rank: int
    prompt_versions: frozenset[str] = readable_versions(Template.PLAIN)
    """Those of the configured template: a prompt is built for the LoRA that reads it."""
    targets: frozenset[str] = SERVABLE_TARGETS
    """Modules of the base that a LoRA may change: the settings' `lora_targets`."""
    layers: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Outputs and inputs of the base's layers by their whole names; empty: not compared."""


def read_rules(settings: Settings, base_digest: str) -> LoraRules:
    """The rules of the configured base. Raises ValueError for an architecture that nobody here knows."""
    return LoraRules(
        base_digest=base_digest,
        max_rank=settings.max_rank,
        prompt_versions=readable_versions(settings.prompt_template),
        targets=frozenset(settings.lora_targets),
        layers=read_architecture(settings.base).layers(),
    )


def check_lora(version: LoraVersion, rules: LoraRules) -> None:
    """Raise LoraRefused, with the reason, for a LoRA that must not be loaded. Reads its files once."""
    for wrong, reason in (
        (version.base_digest != rules.base_digest, "it was trained on another base model (base digest differs)"),
        (version.prompt_version not in rules.prompt_versions, f"its prompt version isn't {_or(rules.prompt_versions)}"),
        (version.rank > rules.max_rank, f"its rank {version.rank} is above {rules.max_rank}"),
        (version.rank < 1, "its rank is below 1"),
        (not version.targets, "it names no target modules"),
        (not rules.targets.issuperset(version.targets), "it has target modules that can't be served"),
    ):
        if wrong:
            raise LoraRefused(version.name, reason)
    if any(path.suffix in _PICKLES for path in version.path.iterdir()):
        raise LoraRefused(version.name, "it holds pickled weights; only safetensors are loaded")
    verify(version)
    _check_config(version)
    _check_tensors(version, rules)


def _or(words: frozenset[str]) -> str:
    return " or ".join(sorted(words))


def _check_config(version: LoraVersion) -> None:
    config: dict[str, Any] = json.loads((version.path / PEFT_CONFIG).read_bytes())
    if config.get("peft_type") != "LORA":
        raise LoraRefused(version.name, "its PEFT type isn't LORA")
    if config.get("bias", "none") != "none":
        raise LoraRefused(version.name, "it trains biases")
    for key in _MUST_BE_OFF:
        if config.get(key):
            raise LoraRefused(version.name, f"it uses {key}, which can't be served")


def _check_tensors(version: LoraVersion, rules: LoraRules) -> None:
    try:
        with safe_open(version.path / WEIGHTS, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - safe_open is no mapping
                place = _TENSOR.fullmatch(name)
                if place is None:
                    raise LoraRefused(version.name, "it holds tensors that aren't a plain LoRA's")
                tensor, is_a = weights.get_tensor(name), place["side"] == "A"
                if tensor.ndim != 2 or tensor.shape[0 if is_a else 1] != version.rank:
                    raise LoraRefused(version.name, "a tensor's rank isn't the stated one")
                if rules.layers and tensor.shape[1 if is_a else 0] != _width(rules, place["layer"], is_a=is_a):
                    raise LoraRefused(version.name, "its tensors don't fit the base model's layers")
                if not tensor.isfinite().all():
                    raise LoraRefused(version.name, "it holds NaN or infinite weights")
    except SafetensorError:
        raise LoraRefused(version.name, f"{WEIGHTS} is damaged") from None


def _width(rules: LoraRules, layer: str, *, is_a: bool) -> int | None:
    """What A takes in, or B gives out; vLLM would fill a narrower tensor up without a word. None: no such layer."""
    outputs, inputs = rules.layers.get(layer, (None, None))
    return inputs if is_a else outputs
