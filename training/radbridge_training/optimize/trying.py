"""Loads a base and lets it read one word: `python -m radbridge_training.optimize.trying BASE LOAD`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from radbridge_training.optimize.load import load_bare
from radbridge_training.turn_recipe import Load


def main(base: Path, load: Load) -> int:
    """Status 1, with the reason on standard error, where the base gives no numbers."""
    try:
        model, tokenizer = load_bare(base, load)
        with torch.inference_mode():
            logits = model(**tokenizer("Findings:", return_tensors="pt").to(model.device)).logits
    except Exception as error:  # noqa: BLE001 - whatever a broken folder makes the loader raise
        sys.stderr.write(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}\n")
        return 1
    if not bool(torch.isfinite(logits).all()):
        sys.stderr.write("its weights give no numbers\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Load(sys.argv[2])))
