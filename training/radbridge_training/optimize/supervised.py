"""Supervised fine-tuning: signed sentences as the answers to the prompts that are served."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl import SFTConfig

from radbridge.errors import NothingToLearn
from radbridge.learning import PreferenceExample
from radbridge_training.optimize.choosing import Tried, choose_rows, encode_wrong, is_canary, take_newest, try_rows
from radbridge_training.optimize.exporting import export
from radbridge_training.optimize.figures import Figures, Tell, tell_nobody
from radbridge_training.optimize.load import find_context, load_for_training
from radbridge_training.optimize.rows import encode_rows
from radbridge_training.optimize.running import Watch, configure, prepare, train
from radbridge_training.optimize.weighted import AnswerTrainer, as_edited_rows, as_row, collate
from radbridge_training.turn_recipe import Common, LoraShape, Sft

LEAST_HARD = 8
"""With fewer rows that are written otherwise than they were signed there is nothing to learn."""


def train_sft(
    examples: Sequence[PreferenceExample],
    *,
    base: Path,
    parent: Path | None,
    recipe: Sft,
    lora: LoraShape,
    common: Common,
    into: Path,
    tell: Tell = tell_nobody,
) -> Figures:
    """Trains a LoRA on top of `parent`, or a new one, and writes it into `into`.

    Learned are the rows that base and parent get wrong, and some that they get right. Raises NothingToLearn when there
    are too few of the first, TrainingFault when training comes to nothing.
    """
    began = time.monotonic()
    prepare(common)
    model, tokenizer = load_for_training(base, common.load, lora=parent or lora)
    longest = min(recipe.max_tokens, find_context(model))
    rows = take_newest(encode_rows(examples, tokenizer, max_tokens=longest), common.learn)
    if len(rows) < LEAST_HARD:
        raise NothingToLearn(f"too few rows ({len(rows)} of {LEAST_HARD})")
    tried = try_rows(rows, model, tokenizer, tell, phase="reading")
    hard = sum(t.is_hard and not is_canary(t.row) for t in tried)
    if hard < LEAST_HARD:
        raise NothingToLearn("nothing to learn: accepted as they are")
    chosen = choose_rows(tried, common.learn, common.seed)
    weighted = _weigh(chosen, recipe, tokenizer)
    watch = Watch("sft", tell, recipe.max_minutes)
    with tempfile.TemporaryDirectory() as work:
        trainer = AnswerTrainer(
            model=model,
            args=_configure(work, recipe, common, len(weighted)),
            train_dataset=Dataset.from_list(weighted),
            data_collator=collate,
            processing_class=tokenizer,
        )
        steps = train(trainer, watch)
    export(model, base, into)
    return {
        "rows": len(rows),
        "hard": hard,
        "kept": len(chosen),
        "tokens": sum(t.row.tokens for t in chosen),
        "steps": steps,
        "loss": watch.figures.get("loss", math.nan),
        "seconds": round(time.monotonic() - began, 1),
    }


def _configure(work: str, recipe: Sft, common: Common, rows: int) -> SFTConfig:
    steps = math.ceil(rows / recipe.batch_size * recipe.epochs)
    steps = min(steps, recipe.steps or steps)
    return SFTConfig(
        **configure(work, common, batch_size=recipe.batch_size, learning_rate=recipe.learning_rate, steps=steps),
        max_length=recipe.max_tokens,
        train_sampling_strategy="group_by_length",
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
    )


def _weigh(chosen: Sequence[Tried], recipe: Sft, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, list[Any]]]:
    if recipe.loss == "nll":
        return [as_row(t.row) for t in chosen]
    return [row for t in chosen for row in as_edited_rows(t.row, t.row.worse or encode_wrong(t, tokenizer))]
