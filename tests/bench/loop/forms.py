"""How large a run is: the form that is judged, and smaller ones that show that every part works."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PACKAGED: dict[str, Any] = {}
"""A turn's recipe as it ships."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """One run."""

    name: str
    people: int
    history: int
    """Signed reports of each radiologist from before the system was there."""
    cases: int
    """Of each radiologist in a round."""
    before: int
    """Further cases of the one for whom a harmful version slips through, signed before it does: what it is held to."""
    slipped: int
    """Cases in which a harmful version that was promoted by hand has to be rolled back."""
    poisoned: int
    """Further reports of the one who signs errors, which are imported before the second turn."""
    turns: tuple[dict[str, Any], ...]
    """What each turn's recipe says otherwise than the packaged one; a round of cases follows each."""
    training: dict[str, Any] = field(default_factory=dict)
    """Of `[training]`."""
    trial: dict[str, Any] = field(default_factory=dict)
    harm: dict[str, Any] = field(default_factory=dict)
    """The recipe of the harmful version; empty: it is noise."""
    judged: bool = True
    """Whether the aims of edit distance count, and the gate is asked about the harmful version by itself too."""

    @property
    def rounds(self) -> int:
        """Of live cases for everybody."""
        return len(self.turns)

    @property
    def total(self) -> int:
        """Cases of each radiologist in all."""
        return self.history + self.rounds * self.cases + max(self.before + self.slipped, self.poisoned)


_GRPO = {"reinforce": {"steps": 8}}
_HARM = {"learn": {"easy_share": 4.0}, "sft": {"epochs": 8.0, "max_minutes": 5.0}}
_LIVE: dict[str, Any] = {
    "history": 60,
    "cases": 14,
    "before": 26,
    "slipped": 40,
    "poisoned": 40,
    "turns": (PACKAGED, _GRPO, _GRPO),
    "training": {"least_new": 10},
}
FORMS = {
    form.name: form
    for form in (
        Form(name="whole", people=12, harm=_HARM, **_LIVE),
        Form(name="middle", people=4, harm=_HARM, **_LIVE),
        Form(
            name="quick",
            people=2,
            history=16,
            cases=4,
            before=0,
            slipped=8,
            poisoned=0,
            turns=(
                {
                    "sft": {"steps": 4},
                    "prefer": {"steps": 2, "batch_size": 2},
                    "reinforce": {"steps": 1, "batch_size": 4, "generations": 2, "max_new_tokens": 24},
                    "gate": {"reports": 3, "least_later": 3, "parity_prompts": 2, "canaries": 1},
                },
            ),
            training={"least_reports": 10, "least_new": 3, "cpus": 1},
            trial={"alpha": 0.4},
            judged=False,
        ),
    )
}
