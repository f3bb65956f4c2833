"""The folder of a measure's weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from radbridge.errors import ConfigError

TOKENIZERS = ("tokenizer.json", "vocab.txt")
"""One of these says how text is cut."""


def check_files(measure: str, folder: Path, *needed: Sequence[str]) -> None:
    """Raises ConfigError unless of each group of file names one is in `folder`."""
    absent = [" or ".join(names) for names in needed if not any((folder / name).exists() for name in names)]
    if absent:
        raise ConfigError([f"--measure {measure}: {folder} has no {', no '.join(absent)}"])


def read_weights(measure: str, file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file that may hold nothing else. Raises ConfigError for one that does."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - a broken file breaks its reader in many ways
        raise ConfigError([f"--measure {measure}: {file} can't be read ({type(error).__name__})"]) from None
    state = state.get("model_state_dict", state) if isinstance(state, dict) else {}
    tensors = {name.removeprefix("module."): value for name, value in state.items()}
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise ConfigError([f"--measure {measure}: {file} holds no model's weights"])
    return tensors
