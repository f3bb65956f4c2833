"""Trains the base model: `python -m radbridge_training.pretrain --recipe training/recipes/base.yaml`."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase

from radbridge.errors import ConfigError
from radbridge.registry import digest_weights
from radbridge_training.batches import Batch, make_batches
from radbridge_training.memory import keep_memory
from radbridge_training.model import build_model, load_base, save_base, weigh_loss
from radbridge_training.recipe import BaseRecipe, load_recipe
from radbridge_training.synth import generate_reports
from radbridge_training.synth.words import babble
from radbridge_training.tokenizer import build_tokenizer

_CHECKPOINT = "checkpoint.pt"


@dataclass(kw_only=True, slots=True)
class Run:
    """A training run as it goes on."""

    recipe: BaseRecipe
    recipe_name: str
    tokenizer: PreTrainedTokenizerBase
    model: LlamaForCausalLM
    optimizer: torch.optim.AdamW
    step: int = 0
    loss: float = math.nan
    """Smoothed over some fifty steps."""
    started: float = field(default_factory=time.monotonic)

    def learn(self, batch: Batch) -> None:
        """One step of the optimizer."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step) * group["share"]
        loss = weigh_loss(self.model, batch.ids, batch.weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.optimizer.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.loss = loss.item() if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * loss.item()

    def save(self) -> None:
        """A checkpoint to go on from, and the model as it is."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "loss": self.loss,
        }
        staged = self.recipe.work / f"{_CHECKPOINT}.new"
        torch.save(state, staged)
        staged.rename(self.recipe.work / _CHECKPOINT)
        trained: dict[str, object] = {"recipe": self.recipe_name, "steps": self.step, "seed": self.recipe.seed}
        if self.recipe.start:
            trained["start"] = digest_weights(self.recipe.start)
        save_base(self.recipe.out, self.model, self.tokenizer, name=self.recipe.name, trained=trained)

    def minutes(self) -> float:
        """Minutes since this run was started."""
        return (time.monotonic() - self.started) / 60


def learning_rate(recipe: BaseRecipe, step: int) -> float:
    """The learning rate at `step`: up in a line, down in a cosine."""
    chosen = recipe.optimizer
    total = sum(phase.steps for phase in recipe.phases)
    if step < chosen.warmup_steps:
        return chosen.learning_rate * (step + 1) / chosen.warmup_steps
    done = (step - chosen.warmup_steps) / max(1, total - chosen.warmup_steps)
    return chosen.learning_rate * (chosen.floor + (1 - chosen.floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def start(recipe: BaseRecipe, recipe_name: str) -> Run:
    """A run, gone on with from its checkpoint where there is one."""
    keep_memory()
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    recipe.work.mkdir(parents=True, exist_ok=True)
    model, tokenizer = _ready_model(recipe)
    optimizer = _build_optimizer(model, recipe)
    run = Run(recipe=recipe, recipe_name=recipe_name, tokenizer=tokenizer, model=model, optimizer=optimizer)
    if (recipe.work / _CHECKPOINT).exists():
        state = torch.load(recipe.work / _CHECKPOINT, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        run.step, run.loss = state["step"], state["loss"]
    return run


def _build_optimizer(model: LlamaForCausalLM, recipe: BaseRecipe) -> torch.optim.AdamW:
    chosen = recipe.optimizer
    layers = [p for name, p in model.named_parameters() if "layers." in name]
    rest = [p for name, p in model.named_parameters() if "layers." not in name]
    groups = [{"params": layers, "share": 1.0}, {"params": rest, "share": chosen.embedding_share}]
    return torch.optim.AdamW(groups, lr=chosen.learning_rate, betas=(0.9, 0.98), weight_decay=chosen.weight_decay)


def train(run: Run, console: Console) -> None:
    """Trains to the end of the curriculum or of the time, with a checkpoint every few minutes."""
    recipe = run.recipe
    total = sum(phase.steps for phase in recipe.phases)
    saved = run.minutes()
    with Progress(*_columns(), console=console) as progress:
        bar = progress.add_task("base", total=total, completed=run.step, loss=run.loss)
        for batch in _curriculum(run):
            run.learn(batch)
            progress.update(bar, completed=run.step, loss=run.loss)
            if run.step % 20 == 0 and not console.is_terminal:
                console.print(f"step {run.step}/{total} loss {run.loss:.3f} after {run.minutes():.1f} min")
            if run.minutes() - saved >= recipe.checkpoint_minutes:
                run.save()
                saved = run.minutes()
            if run.minutes() >= recipe.max_minutes:
                break
    run.save()


def _curriculum(run: Run) -> Iterator[Batch]:
    before = 0
    for number, phase in enumerate(run.recipe.phases):
        first = run.step - before
        if first < phase.steps:
            seed = f"{run.recipe.seed} {number}"
            yield from make_batches(phase, data=run.recipe.data, tokenizer=run.tokenizer, seed=seed, first=first)
        before += phase.steps


def _ready_model(recipe: BaseRecipe) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    if recipe.start:
        return load_base(recipe.start)
    tokenizer = _ready_tokenizer(recipe)
    return build_model(recipe.shape, tokenizer), tokenizer


def _ready_tokenizer(recipe: BaseRecipe) -> PreTrainedTokenizerBase:
    folder = recipe.work / "tokenizer"
    if not folder.exists():
        build_tokenizer(_tokenizer_texts(recipe), recipe.shape.vocab_size).save_pretrained(folder)
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    return tokenizer


def _tokenizer_texts(recipe: BaseRecipe) -> Iterator[str]:
    rng = Random(recipe.seed)
    for report in generate_reports(recipe.seed, recipe.tokenizer_reports):
        yield f"Study: {report.modality} {report.sex} {report.age}\nClinical information: {report.indication}"
        yield f"Comparison: {report.comparison}\nFindings: {report.findings}"
        yield f"Preliminary: {report.coarse}\nImpression:\n {report.impressions[report.persona]}"
        yield babble(rng)


def _columns() -> tuple[TextColumn | BarColumn | MofNCompleteColumn | TimeElapsedColumn | TimeRemainingColumn, ...]:
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


def main(
    recipe: Annotated[Path, typer.Option(help="A recipe such as training/recipes/base.yaml.")],
    max_minutes: Annotated[float | None, typer.Option(help="Instead of the recipe's.")] = None,
) -> None:
    """Train the base model and its tokenizer, or go on with it."""
    console = Console(stderr=True)
    try:
        chosen = load_recipe(recipe, BaseRecipe)
    except ConfigError as error:
        console.print(str(error), style="red", markup=False)
        sys.exit(2)
    if max_minutes is not None:
        chosen = chosen.model_copy(update={"max_minutes": max_minutes})
    run = start(chosen, recipe.name)
    train(run, console)
    console.print(f"{chosen.out}: {run.step} steps, loss {run.loss:.3f}, {run.minutes():.1f} min")


if __name__ == "__main__":
    typer.run(main)
