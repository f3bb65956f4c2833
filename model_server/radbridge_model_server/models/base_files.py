"""What a base model's folder holds, and what it lacks. Nothing is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json")
_INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def find_missing(folder: Path, *, needs_weights: bool) -> Iterator[str]:
    """Every reason for which the folder can't be loaded."""
    if not folder.is_dir():
        yield f"there is no folder {folder}; put the model there, or set `hub`"
        return
    if not (folder / "config.json").is_file():
        yield "config.json is missing"
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        yield f"the tokenizer is missing: none of {', '.join(_TOKENIZERS)}"
    if needs_weights:
        yield from _find_missing_weights(folder)


def _find_missing_weights(folder: Path) -> Iterator[str]:
    if (folder / _INDEX).is_file():
        yield from _find_missing_shards(folder)
    elif not any(folder.glob("*.safetensors")):
        pickles = [path.name for pattern in _PICKLES for path in sorted(folder.glob(pattern))]
        if pickles:
            yield f"its weights are pickled ({pickles[0]}), which is refused always; convert them to safetensors"
        else:
            yield "the weights are missing: no safetensors"


def _find_missing_shards(folder: Path) -> Iterator[str]:
    try:
        shards = set(json.loads((folder / _INDEX).read_bytes())["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError):
        yield f"{_INDEX} is damaged"
        return
    missing = sorted(name for name in shards if not (folder / name).is_file())
    if missing:
        yield f"{len(missing)} of {len(shards)} shards are missing: {', '.join(missing)}"
