"""GRPO with the guard's reward: answers of the model's own, each held to the others of its prompt."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer

from radbridge.errors import NothingToLearn
from radbridge.learning import PreferenceExample, TrainingReport
from radbridge_training.optimize.choosing import is_canary, try_rows
from radbridge_training.optimize.exporting import export
from radbridge_training.optimize.figures import Figures, Tell, tell_nobody
from radbridge_training.optimize.load import find_context, load_for_training
from radbridge_training.optimize.reward_model import load_scorer
from radbridge_training.optimize.rewards import Rewards, Truth
from radbridge_training.optimize.rows import Encoded, encode_rows
from radbridge_training.optimize.running import Watch, configure, prepare, train
from radbridge_training.turn_recipe import Common, Reinforce

_TRIED = 3  # prompts that are tried for each that is wanted


def train_grpo(
    examples: Sequence[PreferenceExample],
    *,
    reports: Sequence[TrainingReport],
    base: Path,
    start: Path,
    recipe: Reinforce,
    common: Common,
    into: Path,
    tell: Tell = tell_nobody,
) -> Figures:
    """Goes on from the LoRA in `start` and writes what comes of it into `into`.

    `reports` are those of the examples; only whole texts are held to them. Raises NothingToLearn when there are fewer
    prompts than one step takes.
    """
    began = time.monotonic()
    prepare(common)
    model, tokenizer = load_for_training(base, common.load, lora=start)
    rows = encode_rows(examples, tokenizer, max_tokens=find_context(model) - recipe.max_new_tokens)
    chosen = _choose(
        [row for row in rows if not is_canary(row)],
        recipe,
        seed=common.seed,
        model=model,
        tokenizer=tokenizer,
        tell=tell,
    )
    style_of = load_scorer(base, recipe.reward_model, common) if recipe.style == "model" else None
    by_id = {report.id: report for report in reports}
    truths = {e.id: Truth.of(e, by_id.get(e.id.partition("/")[0]), style_of) for e in chosen}
    rewards = Rewards(truths, frozenset({int(tokenizer.eos_token_id)}))
    watch = Watch("grpo", tell, recipe.max_minutes)
    with tempfile.TemporaryDirectory() as work:
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=[*rewards.functions],
            args=_configure(work, recipe, common, rewards),
            train_dataset=Dataset.from_list([{"prompt": e.prompt, "id": e.id} for e in chosen]),
            processing_class=tokenizer,
        )
        steps = train(trainer, watch)
    export(model, base, into)
    return {
        "prompts": len(chosen),
        "steps": steps,
        "loss": watch.figures.get("loss", math.nan),
        "reward": watch.figures.get("reward", math.nan),
        "kl": watch.figures.get("kl", math.nan),
        "seconds": round(time.monotonic() - began, 1),
    }


def _choose(
    rows: Sequence[Encoded],
    recipe: Reinforce,
    *,
    seed: int,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    tell: Tell,
) -> list[PreferenceExample]:
    """Prompts for every step, those that are answered otherwise than signed first: answers all alike teach nothing."""
    each = max(1, recipe.batch_size // recipe.generations)
    if len(rows) < each:
        raise NothingToLearn(f"too few prompts ({len(rows)} of {each})")
    wanted = each * recipe.steps
    drawn = Random(f"prompts {seed}").sample(rows, min(len(rows), _TRIED * wanted))
    tried = try_rows(drawn, model, tokenizer, tell, phase="drafting")
    return [t.row.example for t in sorted(tried, key=lambda t: not t.is_hard)][: max(wanted, each)]


def _configure(work: str, recipe: Reinforce, common: Common, rewards: Rewards) -> GRPOConfig:
    groups = max(1, recipe.batch_size // recipe.generations)
    return GRPOConfig(
        **configure(
            work,
            common,
            batch_size=groups * recipe.generations,
            learning_rate=recipe.learning_rate,
            steps=recipe.steps,
        ),
        beta=recipe.beta,
        num_generations=recipe.generations,
        max_completion_length=recipe.max_new_tokens,
        temperature=1.0,
        reward_weights=list(rewards.weights),
    )
