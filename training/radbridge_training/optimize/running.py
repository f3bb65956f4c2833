"""What every trainer has in common: its arguments, its clock, how far it is, and whether its loss is a number."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from datasets import disable_progress_bars
from transformers import PrinterCallback, Trainer, TrainerCallback, set_seed

from radbridge.errors import TrainingFault
from radbridge_training.memory import keep_memory
from radbridge_training.optimize.figures import Tell
from radbridge_training.optimize.load import hush
from radbridge_training.turn_recipe import Common


def prepare(common: Common) -> None:
    """Sets this process up for one step: threads, seed, and no bars or warnings of libraries beside our own."""
    keep_memory()
    disable_progress_bars()
    hush()
    torch.set_num_threads(common.threads)
    set_seed(common.seed)


def configure(work: str, common: Common, *, batch_size: int, learning_rate: float, steps: int) -> dict[str, Any]:
    """Arguments that each of TRL's configurations takes. Nothing is saved on the way: a step is whole or not at all."""
    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": work,
        "per_device_train_batch_size": batch_size,
        "max_steps": steps,
        "learning_rate": learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": steps // 8,
        "seed": common.seed,
        "use_cpu": not on_gpu,
        "bf16": on_gpu,  # TRL turns it on by default; without hardware for it a CPU is no faster
        "activation_checkpointing": on_gpu,
        "save_strategy": "no",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
    }


class Watch(TrainerCallback):
    """Tells how far a trainer is, ends it when its time is over, and when its loss is no number any more."""

    def __init__(self, phase: str, tell: Tell, max_minutes: float) -> None:
        self.figures: dict[str, float] = {}
        """What the trainer told of its last step."""
        self._phase = phase
        self._tell = tell
        self._end = time.monotonic() + max_minutes * 60

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After each step of the optimizer."""
        self._tell(self._phase, state.global_step, state.max_steps)
        if time.monotonic() > self._end:
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """When the trainer reports its loss."""
        if logs and "loss" in logs:
            self.figures = {name: float(value) for name, value in logs.items()}
            if not math.isfinite(self.figures["loss"]):
                raise TrainingFault(f"training diverged at step {state.global_step}")


def train(trainer: Trainer, watch: Watch) -> int:
    """Runs the trainer. Returns its steps. Raises TrainingFault when the loss is no number."""
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(watch)
    trainer.train()
    return int(trainer.state.global_step)
