"""Trains one style LoRA: `python -m radbridge_training.sft --recipe training/recipes/style_succinct.yaml`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig
from rich.console import Console
from rich.progress import Progress
from transformers import PreTrainedTokenizerBase, PrinterCallback, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig, SFTTrainer

from radbridge.errors import ConfigError
from radbridge.registry import MANIFEST, digest_weights, write_manifest
from radbridge_training.batches import encode
from radbridge_training.imitation import make_own
from radbridge_training.memory import keep_memory
from radbridge_training.model import TARGETS, load_base
from radbridge_training.recipe import Data, StyleRecipe, load_recipe
from radbridge_training.staging import put, stage
from radbridge_training.synth.persona import NAMED
from radbridge_training.task import Example, make_examples

_CHECKPOINT_STEPS = 50


class Watch(TrainerCallback):
    """Shows how far the training is, and ends it when its time is over."""

    def __init__(self, progress: Progress, name: str, max_minutes: float) -> None:
        self._progress = progress
        self._name = name
        self._end = time.monotonic() + max_minutes * 60
        self._bar = progress.add_task(name)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After each step of the optimizer."""
        self._progress.update(self._bar, total=state.max_steps, completed=state.global_step)
        if time.monotonic() > self._end:
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """When the trainer reports its loss."""
        if logs and "loss" in logs:
            self._progress.console.print(
                f"{self._name}: step {state.global_step}/{state.max_steps} loss {logs['loss']}"
            )


def train(recipe: StyleRecipe, recipe_name: str, console: Console) -> Path:
    """Trains the LoRA, and writes weights and manifest whole or not at all. Returns their folder."""
    keep_memory()
    disable_progress_bars()
    torch.set_num_threads(recipe.threads)
    model, tokenizer = load_base(recipe.base)
    lora = LoraConfig(
        r=recipe.rank, lora_alpha=recipe.alpha, target_modules=list(TARGETS), bias="none", task_type="CAUSAL_LM"
    )
    with Progress(console=console) as progress:
        trainer = SFTTrainer(
            model=model,
            args=_configure(recipe),
            train_dataset=_encode_examples(recipe, tokenizer),
            processing_class=tokenizer,
            peft_config=lora,
            callbacks=[Watch(progress, recipe.persona, recipe.max_minutes)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=get_last_checkpoint(recipe.work) if recipe.work.is_dir() else None)
    steps: int = trainer.state.global_step
    publish(recipe, recipe_name, trainer.model, steps=steps)
    return recipe.out


def publish(recipe: StyleRecipe, recipe_name: str, model: Any, *, steps: int) -> None:
    """Writes the LoRA of `model` (bfloat16) with its manifest."""
    staged = stage(recipe.out)
    config = model.peft_config["default"]
    config.base_model_name_or_path = json.loads((recipe.base / MANIFEST).read_bytes())["name"]
    config.target_modules = sorted(config.target_modules)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)
    model.save_pretrained(staged, save_embedding_layers=False)
    (staged / "README.md").unlink(missing_ok=True)
    owner = f"persona/{recipe.persona}"
    told: dict[str, Any] = {
        "name": owner,
        "version": f"{owner}@v{recipe.sequence}-{digest_weights(staged)[:12]}",
        "number": recipe.number,
        "base_digest": digest_weights(recipe.base),
        "prompt_version": recipe.prompt_template.prompt_version,
        "rank": recipe.rank,
        "targets": list(TARGETS),
        "trained": {"recipe": recipe_name, "steps": steps, "seed": recipe.seed},
        "parent": None,
    }
    write_manifest(staged, told)
    put(staged, recipe.out)


def _configure(recipe: StyleRecipe) -> SFTConfig:
    return SFTConfig(
        output_dir=str(recipe.work),
        per_device_train_batch_size=recipe.batch_size,
        num_train_epochs=1,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=10,
        seed=recipe.seed,
        max_length=recipe.max_tokens,
        completion_only_loss=True,
        train_sampling_strategy="group_by_length",
        use_cpu=True,
        bf16=False,  # TRL turns it on by default; without hardware for it a CPU is no faster
        activation_checkpointing=False,
        save_steps=_CHECKPOINT_STEPS,
        save_total_limit=1,
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
    )


def _encode_examples(recipe: StyleRecipe, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Prompt and answer as ids, encoded apart as in the base's own training."""
    rows: list[dict[str, list[int]]] = []
    for example in _make_examples(recipe):
        prompt, target = encode(example.prompt, example.target, tokenizer)
        if len(prompt) + len(target) <= recipe.max_tokens:
            rows.append({"input_ids": prompt + target, "completion_mask": [0] * len(prompt) + [1] * len(target)})
    return Dataset.from_list(rows)


def _make_examples(recipe: StyleRecipe) -> Iterator[Example]:
    """Single statements and whole reports, each by its share."""
    alone = round(recipe.examples * recipe.sights.get("statement", 0.0) / sum(recipe.sights.values()))
    if alone:
        yield from make_own(recipe.seed, alone, NAMED[recipe.persona], recipe.prompt_template)
    data = Data(drafted=recipe.drafted, styles={"neutral" if recipe.persona == "expand" else recipe.persona: 1.0})
    yield from make_examples(
        recipe.seed, recipe.examples - alone, data=data, sights=recipe.sights, template=recipe.prompt_template
    )


def main(
    recipe: Annotated[Path, typer.Option(help="A recipe such as training/recipes/style_succinct.yaml.")],
    max_minutes: Annotated[float | None, typer.Option(help="Instead of the recipe's.")] = None,
) -> None:
    """Train one style LoRA on a finished base."""
    console = Console(stderr=True)
    try:
        chosen = load_recipe(recipe, StyleRecipe)
    except ConfigError as error:
        console.print(str(error), style="red", markup=False)
        sys.exit(2)
    if max_minutes is not None:
        chosen = chosen.model_copy(update={"max_minutes": max_minutes})
    console.print(f"{train(chosen, recipe.name, console)}: done")


if __name__ == "__main__":
    typer.run(main)
