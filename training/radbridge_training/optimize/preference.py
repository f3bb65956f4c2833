"""The preference step: what was signed over what was drafted, by DPO on pairs or by KTO on answers without one."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedTokenizerBase, Trainer
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

from radbridge.errors import NothingToLearn
from radbridge.learning import PreferenceExample
from radbridge_training.optimize.exporting import export
from radbridge_training.optimize.figures import Figures, Tell, tell_nobody
from radbridge_training.optimize.load import find_context, load_for_training
from radbridge_training.optimize.pairs import LEAST_PAIRS, Pairs, make_pairs
from radbridge_training.optimize.rows import encode_rows
from radbridge_training.optimize.running import Watch, configure, prepare, train
from radbridge_training.turn_recipe import Common, Prefer


def train_preference(
    examples: Sequence[PreferenceExample],
    *,
    base: Path,
    start: Path,
    recipe: Prefer,
    common: Common,
    into: Path,
    tell: Tell = tell_nobody,
) -> Figures:
    """Goes on from the LoRA in `start` and writes what comes of it into `into`.

    Raises NothingToLearn when there are too few pairs: then the step before stands.
    """
    began = time.monotonic()
    prepare(common)
    model, tokenizer = load_for_training(base, common.load, lora=start)
    rows = encode_rows(examples, tokenizer, max_tokens=min(recipe.max_tokens, find_context(model)))
    wanted = max(LEAST_PAIRS, recipe.steps * recipe.batch_size)
    found = make_pairs(rows, recipe.pairs, model=model, tokenizer=tokenizer, wanted=wanted, seed=common.seed, tell=tell)
    if len(found.pairs) < LEAST_PAIRS:
        raise NothingToLearn(f"too few pairs ({len(found.pairs)} of {LEAST_PAIRS})")
    watch = Watch(recipe.method, tell, recipe.max_minutes)
    make = _make_kto if recipe.method == "kto" else _make_dpo
    with tempfile.TemporaryDirectory() as work:
        trainer = make(model=model, tokenizer=tokenizer, found=found, recipe=recipe, common=common, work=work)
        steps = train(trainer, watch)
    export(model, base, into)
    return {
        "pairs": len(found.pairs),
        "steps": steps,
        "loss": watch.figures.get("loss", math.nan),
        "seconds": round(time.monotonic() - began, 1),
    }


def _make_dpo(
    *, model: PeftModel, tokenizer: PreTrainedTokenizerBase, found: Pairs, recipe: Prefer, common: Common, work: str
) -> Trainer:
    """DPO with the supervised loss beside it: of near-identical pairs it would lower both likelihoods."""
    rows = [{"prompt": e.prompt, "chosen": e.chosen, "rejected": e.rejected} for e in found.pairs]
    config = DPOConfig(
        **_configure(work, common, recipe),
        loss_type=["sigmoid", "sft"],
        loss_weights=[1.0, recipe.sft_weight],
        precompute_ref_log_probs=True,
    )
    return DPOTrainer(model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)


def _make_kto(
    *, model: PeftModel, tokenizer: PreTrainedTokenizerBase, found: Pairs, recipe: Prefer, common: Common, work: str
) -> Trainer:
    """KTO: signed answers are desirable, with or without a pair; drafts that were changed aren't."""
    signed = [{"prompt": e.prompt, "completion": e.chosen, "label": True} for e in (*found.pairs, *found.single)]
    drafted = [{"prompt": e.prompt, "completion": e.rejected, "label": False} for e in found.pairs]
    config = KTOConfig(**_configure(work, common, recipe), undesirable_weight=len(signed) / len(drafted))
    rows: list[dict[str, Any]] = [*signed, *drafted]
    return KTOTrainer(model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)


def _configure(work: str, common: Common, recipe: Prefer) -> dict[str, Any]:
    settings = configure(
        work, common, batch_size=recipe.batch_size, learning_rate=recipe.learning_rate, steps=recipe.steps
    )
    return settings | {"beta": recipe.beta, "max_length": recipe.max_tokens}
