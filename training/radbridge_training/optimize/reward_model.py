"""A reward model: a LoRA with a score on top that tells signed answers from drafted ones. It never writes anything."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerBase
from trl import RewardConfig, RewardTrainer

from radbridge.errors import ConfigError, NothingToLearn
from radbridge.learning import PreferenceExample
from radbridge_training.optimize.exporting import export
from radbridge_training.optimize.figures import Figures, Tell, tell_nobody
from radbridge_training.optimize.load import configure_load, configure_lora
from radbridge_training.optimize.pairs import LEAST_PAIRS
from radbridge_training.optimize.rewards import StyleOf
from radbridge_training.optimize.running import Watch, configure, prepare, train
from radbridge_training.turn_recipe import Common, LoraShape, Reward

_SCORE = "score"
"""transformers' name for the layer that makes a number of the last token."""


def train_reward(
    examples: Sequence[PreferenceExample],
    *,
    base: Path,
    recipe: Reward,
    lora: LoraShape,
    common: Common,
    into: Path,
    tell: Tell = tell_nobody,
) -> Figures:
    """Trains a score for one radiologist's answers on the pairs among `examples`, and writes it into `into`.

    It is for rewards alone: no registry takes it. Raises NothingToLearn when there are too few pairs.
    """
    began = time.monotonic()
    prepare(common)
    pairs = [e for e in examples if e.rejected]
    if len(pairs) < LEAST_PAIRS:
        raise NothingToLearn(f"too few pairs ({len(pairs)} of {LEAST_PAIRS})")
    scorer, tokenizer = _load(base, common)
    model = get_peft_model(scorer, configure_lora(scorer, lora, "SEQ_CLS", modules_to_save=[_SCORE]))
    watch = Watch("reward", tell, recipe.max_minutes)
    with tempfile.TemporaryDirectory() as work:
        trainer = RewardTrainer(
            model=model,
            args=RewardConfig(
                **configure(
                    work,
                    common,
                    batch_size=recipe.batch_size,
                    learning_rate=recipe.learning_rate,
                    steps=recipe.steps,
                ),
                max_length=recipe.max_tokens,
            ),
            train_dataset=Dataset.from_list(
                [{"prompt": e.prompt, "chosen": e.chosen, "rejected": e.rejected} for e in pairs]
            ),
            processing_class=tokenizer,
        )
        steps = train(trainer, watch)
    export(model, base, into)
    return {
        "pairs": len(pairs),
        "steps": steps,
        "loss": watch.figures.get("loss", math.nan),
        "accuracy": watch.figures.get("accuracy", math.nan),
        "seconds": round(time.monotonic() - began, 1),
    }


def load_scorer(base: Path, folder: Path | None, common: Common) -> StyleOf:
    """The score that `train_reward` wrote into `folder`, as a share: 1 for what is surely the signer's."""
    if folder is None or not folder.is_dir():
        raise ConfigError(["reinforce.reward_model: name the folder that `radbridge train reward` made"])
    scorer, tokenizer = _load(base, common)
    model = PeftModel.from_pretrained(scorer, str(folder)).eval()

    def score(prompt: str, answer: str) -> float:
        ids = tokenizer(f"{prompt} {answer.strip()}{tokenizer.eos_token}", return_tensors="pt").to(model.device)
        with torch.inference_mode():
            logit: float = model(**ids).logits[0, 0].item()
        return 1 / (1 + math.exp(-logit))

    return score


def _load(base: Path, common: Common) -> tuple[Any, PreTrainedTokenizerBase]:
    kind: Any = AutoModelForSequenceClassification
    torch.manual_seed(common.seed)  # the score layer is new
    model = kind.from_pretrained(base, num_labels=1, **configure_load(common.load))
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(base, local_files_only=True)
    model.config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer
