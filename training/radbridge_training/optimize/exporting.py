"""A trained LoRA as a folder that every engine serves, and nothing else in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import save_file

from radbridge.errors import TrainingFault
from radbridge.registry import MANIFEST, PEFT_CONFIG, WEIGHTS

_TRAINED = "default"
"""PEFT's name for the LoRA that is trained; `ref` beside it is a trainer's frozen copy of where it began."""


def export(model: PeftModel, base: Path, into: Path) -> None:
    """Writes the LoRA of `model` (bfloat16, safetensors) and its PEFT config into `into`.

    Raises TrainingFault when a weight is no number, or when none is other than 0: then nothing was learned.
    """
    state = get_peft_model_state_dict(model, adapter_name=_TRAINED, save_embedding_layers=False)
    weights = {name: tensor.detach().to("cpu", torch.bfloat16).contiguous() for name, tensor in state.items()}
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise TrainingFault("a trained weight is no number")
    if not any(bool(tensor.any()) for name, tensor in weights.items() if "lora_B" in name):
        raise TrainingFault("training changed nothing")
    into.mkdir(parents=True, exist_ok=True)
    save_file(weights, into / WEIGHTS, metadata={"format": "pt"})
    (into / PEFT_CONFIG).write_text(json.dumps(_describe(model, base), indent=2, sort_keys=True), encoding="utf-8")


def _describe(model: PeftModel, base: Path) -> dict[str, Any]:
    """PEFT's own words for the LoRA; the base is named, as no path of this machine belongs in it."""
    config = model.peft_config[_TRAINED].to_dict()
    name = json.loads((base / MANIFEST).read_bytes())["name"] if (base / MANIFEST).is_file() else base.name
    return config | {
        "base_model_name_or_path": name,
        "inference_mode": True,
        "target_modules": sorted(config["target_modules"]),
    }
