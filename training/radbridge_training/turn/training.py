"""The steps that change weights: supervised, by preference, by reward. They run in a worker and see rows alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from radbridge.errors import TrainingFault
from radbridge.learning import EXAMPLE, REPORT, SHOWN
from radbridge_training.optimize.figures import Figures, Tell
from radbridge_training.rows import load_rows
from radbridge_training.turn.done import read_done
from radbridge_training.turn.examples import DEV, EXAMPLES, LEARN, REPORTS
from radbridge_training.turn.job import Job, Step

SFT, PREFER, REINFORCE = "2-sft", "3-prefer", "4-reinforce"
_VERSION = 1


class TrainSft:
    """Step 2: what was signed."""

    name = SFT
    after = EXAMPLES

    def inputs(self, job: Job) -> str:
        """The recipe's part, and the weights that it goes on from."""
        recipe = job.recipe
        parts = (recipe.common, recipe.lora, recipe.sft)
        return f"{_VERSION} {job.base_digest} {job.owner.parent} " + " ".join(p.model_dump_json() for p in parts)

    def run(self, job: Job, into: Path, tell: Tell) -> dict[str, Any]:
        """Train; tell the figures, and how the drafts are on the dev slice. Raises TrainingFault."""
        from radbridge_training.optimize.supervised import train_sft

        figures = train_sft(
            load_rows(job.folder / EXAMPLES / LEARN, EXAMPLE),
            base=job.base,
            parent=job.parent,
            recipe=job.recipe.sft,
            lora=job.recipe.lora,
            common=job.recipe.common,
            into=into,
            tell=tell,
        )
        return {"figures": dict(figures), "worth": _weigh(job, into, tell)}


class Improving(ABC):
    """A step that goes on from the weights before it, and whose own are used only where they are better.

    Weights that are no better stay in the folder to be looked at; `same_as` in its `done.json` names those to use.
    """

    name: ClassVar[str]
    after: ClassVar[str]

    @abstractmethod
    def inputs(self, job: Job) -> str:
        """The recipe's part."""

    @abstractmethod
    def is_off(self, job: Job) -> bool:
        """Whether the recipe leaves the step out."""

    @abstractmethod
    def train(self, job: Job, start: Path, into: Path, tell: Tell) -> Figures:
        """Train from the weights in `start`. Raises TrainingFault."""

    def run(self, job: Job, into: Path, tell: Tell) -> dict[str, Any]:
        """Train, and look whether it helped. A step that can't be done leaves the weights before it in use."""
        before = find_weights(job.folder, self.after)
        same = {"same_as": before.name}
        if self.is_off(job):
            return same
        try:
            figures = self.train(job, before, into, tell)
        except TrainingFault as fault:
            return same | {"reason": fault.reason}
        told: dict[str, Any] = {"figures": dict(figures), "worth": _weigh(job, into, tell)}
        worse = _compare(told["worth"], _read_worth(before))
        return told | same | {"reason": worse} if worse else told


class TrainPreference(Improving):
    """Step 3: what was signed over what was drafted."""

    name = PREFER
    after = SFT

    def inputs(self, job: Job) -> str:
        """The recipe's part."""
        return f"{_VERSION} {job.recipe.prefer.model_dump_json()}"

    def is_off(self, job: Job) -> bool:
        """Whether the recipe leaves the step out."""
        return job.recipe.prefer.method == "off"

    def train(self, job: Job, start: Path, into: Path, tell: Tell) -> Figures:
        """DPO or KTO."""
        from radbridge_training.optimize.preference import train_preference

        return train_preference(
            load_rows(job.folder / EXAMPLES / LEARN, EXAMPLE),
            base=job.base,
            start=start,
            recipe=job.recipe.prefer,
            common=job.recipe.common,
            into=into,
            tell=tell,
        )


class TrainReward(Improving):
    """Step 4: what the guard and the signer's style reward."""

    name = REINFORCE
    after = PREFER

    def inputs(self, job: Job) -> str:
        """The recipe's part."""
        return f"{_VERSION} {job.recipe.reinforce.model_dump_json()}"

    def is_off(self, job: Job) -> bool:
        """Whether the recipe leaves the step out."""
        return job.recipe.reinforce.steps == 0

    def train(self, job: Job, start: Path, into: Path, tell: Tell) -> Figures:
        """GRPO."""
        from radbridge_training.optimize.reinforce import train_grpo

        return train_grpo(
            load_rows(job.folder / EXAMPLES / LEARN, EXAMPLE),
            reports=load_rows(job.folder / EXAMPLES / REPORTS, REPORT),
            base=job.base,
            start=start,
            recipe=job.recipe.reinforce,
            common=job.recipe.common,
            into=into,
            tell=tell,
        )


STEPS: Sequence[Step] = (TrainSft(), TrainPreference(), TrainReward())
"""What a worker does, in order."""


def find_weights(home: Path, step: str = REINFORCE) -> Path:
    """The folder of the weights to use once `step` is done: its own, or those of the step that it names."""
    folder = home / step
    done = read_done(folder)
    same = done.told.get("same_as") if done else None
    return find_weights(home, same) if same else folder


def _weigh(job: Job, lora: Path, tell: Tell) -> dict[str, Any] | None:
    """How the drafts of these weights are on the dev slice; None where there is no report in it."""
    from radbridge_training.optimize.worth import weigh

    shown = load_rows(job.folder / EXAMPLES / DEV, SHOWN)
    tell("measuring", 0, len(shown))
    if not shown:
        return None
    return asdict(weigh(shown, base=job.base, lora=lora, ways=job.ways, common=job.recipe.common))


def _compare(after: dict[str, Any] | None, before: dict[str, Any] | None) -> str:
    """Why the weights before are used on; empty where the step has helped."""
    from radbridge_training.optimize.worth import Worth

    if after is None or before is None:
        return "no report to see by whether it helps"
    return Worth(**after).compare(Worth(**before))


def _read_worth(folder: Path) -> dict[str, Any] | None:
    done = read_done(folder)
    return done.told.get("worth") if done else None
