"""The recipe of a turn: what is done with each radiologist's signed reports; YAML, checked whole before any start."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field

from radbridge_training.recipe import Table


class Load(StrEnum):
    """In which numbers the base is loaded for training."""

    AUTO = "auto"
    """`nf4` where CUDA and bitsandbytes are there, `bfloat16` on CUDA without, `float32` on a CPU."""
    NF4 = "nf4"
    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"


class Learn(Table):
    """Which rows are learned."""

    easy_share: float = Field(default=0.5, ge=0, le=4)
    """For each row that the present weights get wrong, so many that they get right, so that it stays right."""
    most_rows: int = Field(default=600, ge=8)
    unseen_share: float = Field(default=0.12, ge=0, le=1)
    """Of the reports, drafted as on a radiologist's first days: without examples of theirs."""


class Common(Table):
    """What every step of the optimizer takes."""

    threads: int = Field(default=1, ge=1)
    """Of one radiologist's job: several of them run side by side."""
    gpus: float = Field(default=0.0, ge=0, le=8)
    """Of one job; a share of one GPU lets several jobs use it."""
    load: Load = Load.AUTO
    seed: int = Field(default=17, ge=0)
    learn: Learn = Learn()


class LoraShape(Table):
    """One shape for all: the engine keeps the same room for each LoRA."""

    rank: int = Field(default=16, ge=1, le=64)
    alpha: int = Field(default=32, ge=1, le=256)


class Sft(Table):
    """Supervised fine-tuning on signed sentences."""

    epochs: float = Field(default=4.0, gt=0, le=50)
    steps: int = Field(default=0, ge=0)
    """At most so many steps of the optimizer; 0: as the epochs say."""
    learning_rate: float = Field(default=1e-3, gt=0, le=0.1)
    batch_size: int = Field(default=16, ge=1)
    max_tokens: int = Field(default=512, ge=32)
    """Rows longer than this are left out."""
    max_minutes: float = Field(default=10.0, gt=0)
    """By the clock; then the step ends with what it has."""
    loss: Literal["nll", "edit_weighted"] = "nll"


class Prefer(Table):
    """The preference step: what was signed over what was drafted."""

    method: Literal["dpo", "kto", "off"] = "dpo"
    steps: int = Field(default=12, ge=1)
    learning_rate: float = Field(default=5e-5, gt=0, le=0.1)
    beta: float = Field(default=0.1, gt=0, le=10)
    """How strongly the step is held to the weights that it began with."""
    sft_weight: float = Field(default=1.0, ge=0, le=10)
    """Of the supervised loss beside the preference's: near-identical pairs lower the chosen text's likelihood too."""
    batch_size: int = Field(default=8, ge=2)
    pairs: Literal["both", "recorded", "own"] = "both"
    """Rejected are the sentences of recorded drafts, those that the weights write now, or both."""
    max_tokens: int = Field(default=512, ge=32)
    max_minutes: float = Field(default=5.0, gt=0)


class Reinforce(Table):
    """GRPO with the guard's reward."""

    steps: int = Field(default=0, ge=0)
    """0: off."""
    learning_rate: float = Field(default=5e-5, gt=0, le=0.1)
    beta: float = Field(default=0.04, gt=0, le=10)
    """Above 0 by type: without an anchor a policy drifts to whatever the reward's words like."""
    generations: int = Field(default=4, ge=2, le=64)
    batch_size: int = Field(default=16, ge=2)
    """Completions of one step; a multiple of `generations`."""
    max_new_tokens: int = Field(default=64, ge=4, le=2048)
    style: Literal["distance", "model"] = "distance"
    """What nearness to the signer's style is told by: the edit distance, or `reward_model`."""
    reward_model: Path | None = None
    """Folder of a reward model, such as `radbridge train reward` makes; for `style: model`."""
    max_minutes: float = Field(default=5.0, gt=0)


class Reward(Table):
    """The reward model: a LoRA with a score on top, which never writes and is never published."""

    steps: int = Field(default=40, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0, le=0.1)
    batch_size: int = Field(default=16, ge=2)
    max_tokens: int = Field(default=512, ge=32)
    max_minutes: float = Field(default=4.0, gt=0)


class GatePlan(Table):
    """What the gate drafts and looks at; its rules stand in `gate.toml`."""

    reports: int = Field(default=24, ge=2)
    """At most so many later reports of each radiologist."""
    least_later: int = Field(default=12, ge=2)
    """With fewer of them the gate could say nothing, so nothing is trained."""
    parity_prompts: int = Field(default=16, ge=0)
    canaries: int = Field(default=2, ge=0, le=16)


class TurnRecipe(Common):
    """What one turn of the loop does."""

    lora: LoraShape = LoraShape()
    sft: Sft = Sft()
    prefer: Prefer = Prefer()
    reinforce: Reinforce = Reinforce()
    reward: Reward = Reward()
    gate: GatePlan = GatePlan()
    start: Literal["parent", "base"] = "parent"
    """`parent`: on from the champion's weights, where they are for this base and not marked; `base`: anew."""

    @property
    def common(self) -> Common:
        """What every step takes."""
        return Common(threads=self.threads, gpus=self.gpus, load=self.load, seed=self.seed, learn=self.learn)
