"""What one radiologist's part of a turn is made from, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from radbridge.learning import Ways
from radbridge_training.optimize.figures import Tell
from radbridge_training.turn_recipe import TurnRecipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """A radiologist whom the turn trains for."""

    radiologist: str
    owner: str
    """`rad/<id>`, as the registry spells it."""
    reports: int
    """Signed reports that are remembered."""
    new: int
    """Of them, those since the last turn that looked at this radiologist."""
    marked: bool = False
    """Something that the present LoRA learned from was withdrawn: it is trained anew, from the base."""
    parent: str = ""
    """The champion's whole name; empty: none, or none to go on from."""
    upto: int = 0
    """The last report, by order, that the champion learned from: what it is judged on beside must be newer. 0 for one
    that is marked: it has to be replaced, and few reports may be newer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One radiologist's part of a turn. It pickles: a Ray task takes it whole."""

    folder: Path
    """Where its steps' folders are."""
    owner: Owner
    recipe: TurnRecipe
    base: Path
    base_digest: str
    ways: Ways
    parent: Path | None = None
    """Folder of the LoRA that training goes on from."""


class State(StrEnum):
    """How one radiologist's part ended."""

    TRAINED = "trained"
    """Every step is done; the gate has not spoken yet."""
    PUBLISHED = "published"
    REFUSED = "refused"
    """The gate said no."""
    SKIPPED = "skipped"
    """The reports give nothing to train on."""
    FAILED = "failed"
    """Something broke that isn't the reports' fault."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one radiologist's part ended, and why."""

    owner: str
    state: State
    reason: str = ""
    """Fixed words and numbers, never a text."""
    step: str = ""
    """Where it ended, unless every step was done."""
    version: str = ""
    """What was published."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """By step; a step that was done before isn't there."""


def tell_outcome(outcome: Outcome) -> str:
    """How a part of a turn ended, in one line."""
    said = (outcome.version, outcome.reason)
    return f"{outcome.state}: {', '.join(filter(None, said))}"


class Step(Protocol):
    """One step: it reads the folders of those before it and fills one of its own."""

    @property
    def name(self) -> str:
        """The folder's: `2-sft`."""

    @property
    def after(self) -> str:
        """The name of the step that must be done before; empty for the first."""

    def inputs(self, job: Job) -> str:
        """What decides its result, besides the step before: changed, it is done anew."""

    def run(self, job: Job, into: Path, tell: Tell) -> dict[str, Any]:
        """Fill the folder `into`; what is returned stands in its `done.json`.

        Raises TrainingFault for what is the data's fault.
        """
