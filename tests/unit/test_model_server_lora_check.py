"""Which LoRAs may be loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from radbridge.errors import LoraRefused
from radbridge.prompt import PROMPT_VERSION
from radbridge.registry import PEFT_CONFIG, WEIGHTS, LoraRegistry, LoraVersion
from radbridge_model_server.engines.lora_check import LoraRules, check_lora
from radbridge_model_server.engines.repetition import is_looping

BASE = "b" * 64
NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"

RULES = LoraRules(base_digest=BASE, max_rank=8, layers={"model.layers.0.self_attn.q_proj": (8, 8)})

Publish = Callable[..., LoraVersion]


@pytest.fixture
def publish(tmp_path: Path) -> Publish:
    """Publishes a LoRA of rank 4, with whatever is changed in its config or tensors."""

    def make(config: dict[str, Any] | None = None, tensors: dict[str, torch.Tensor] | None = None) -> LoraVersion:
        folder = tmp_path / "lora"
        folder.mkdir()
        plain = {"peft_type": "LORA", "r": 4, "bias": "none", "use_dora": False, "target_modules": ["q_proj"]}
        (folder / PEFT_CONFIG).write_text(json.dumps(plain | (config or {})))
        weights = {NAME.format("A"): torch.ones(4, 8), NAME.format("B"): torch.ones(8, 4)} | (tensors or {})
        save_file(weights, folder / WEIGHTS)
        registry = LoraRegistry(tmp_path / "registry")
        return registry.publish(folder, "rad/900001", base_digest=BASE, prompt_version=PROMPT_VERSION)

    return make


def test_a_plain_lora_passes(publish: Publish) -> None:
    """A plain LoRA and an rsLoRA for this base and prompt are let through."""
    check_lora(publish({"use_rslora": True}), RULES)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"bias": "lora_only"}, "biases"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"peft_type": "IA3"}, "isn't LORA"),
        ({"target_modules": ["embed_tokens"]}, "target modules"),
        ({"target_modules": []}, "no target modules"),
        ({"r": 16}, "above 8"),
        ({"r": 2}, "isn't the stated one"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
    ],
)
def test_what_can_not_be_served_is_refused(publish: Publish, config: dict[str, Any], reason: str) -> None:
    """Every form of LoRA beyond the plain one is refused, with the reason."""
    with pytest.raises(LoraRefused, match=reason):
        check_lora(publish(config), RULES)


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({NAME.format("A"): torch.full((4, 8), float("nan"))}, "NaN"),
        ({NAME.format("B"): torch.full((8, 4), float("inf"))}, "NaN or infinite"),
        ({"base_model.model.lm_head.weight": torch.ones(2, 2)}, "plain LoRA"),
        ({NAME.format("A"): torch.ones(4, 6)}, "don't fit"),
        ({NAME.format("B"): torch.ones(10, 4)}, "don't fit"),
        ({NAME.format("A").replace("layers.0", "layers.1"): torch.ones(4, 8)}, "don't fit"),
    ],
)
def test_bad_tensors_are_refused(publish: Publish, tensors: dict[str, torch.Tensor], reason: str) -> None:
    """Weights that aren't finite, or aren't a LoRA's, are refused."""
    with pytest.raises(LoraRefused, match=reason):
        check_lora(publish(tensors=tensors), RULES)


@pytest.mark.parametrize(
    ("change", "reason"), [({"base_digest": "c" * 64}, "another base"), ({"prompt_version": "p0"}, "prompt version")]
)
def test_what_was_trained_for_something_else_is_refused(publish: Publish, change: dict[str, str], reason: str) -> None:
    """A LoRA of another base or another prompt is refused."""
    with pytest.raises(LoraRefused, match=reason):
        check_lora(replace(publish(), **change), RULES)  # type: ignore[arg-type]  # wrong on purpose


def test_pickles_and_changed_files_are_refused(publish: Publish) -> None:
    """Nothing pickled is opened, and nothing that was changed since it was published."""
    version = publish()
    (version.path / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(LoraRefused, match="pickled"):
        check_lora(version, RULES)
    (version.path / "adapter_model.bin").unlink()
    (version.path / WEIGHTS).write_bytes(b"garbage")
    with pytest.raises(LoraRefused, match="digest"):
        check_lora(version, RULES)


@pytest.mark.parametrize(
    ("tokens", "looping"),
    [
        ([5] * 12, True),
        ([5] * 11, False),
        ([1, 2, 3, 4] * 3, True),
        ([9, *[1, 2, 3, 4, 5, 6, 7] * 3], True),
        ([1, 2, 3, 4, 5, 6, 7] * 2, False),
        ([*[1, 2, 3, 4] * 3, 8], False),
        (list(range(200)), False),
        ([], False),
    ],
)
def test_a_loop_is_seen(tokens: list[int], looping: bool) -> None:
    """A text that ends in one block three times over, twelve tokens at least, is looping; a list of findings isn't."""
    assert is_looping(tokens) is looping
