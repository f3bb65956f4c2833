"""A trial: whether a version of a LoRA is worse than what it is held to, no worse, or neither is known yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

from radbridge.config.training import Trial
from radbridge.trials.betting import e_values
from radbridge.trials.outcome import Outcome
from radbridge.trials.pairs import pair_after, pair_beside

DISTANCE_SCALE = 0.25
"""A change of the edit distance by so much counts as the largest."""
FAULT_SCALE = 1.0


class Phase(StrEnum):
    """What the version is doing."""

    TRIAL = "trial"
    """It drafts a share of the reports, beside the champion."""
    WATCH = "watch"
    """It has been promoted and drafts them all."""


class Decision(StrEnum):
    """What follows from the outcomes so far."""

    WAIT = "wait"
    PROMOTE = "promote"
    WITHDRAW = "withdraw"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a trial says after a number of pairs: after all there are, or after those that decided it."""

    phase: Phase
    pairs: int = 0
    harm: float = 1.0
    """E-value against "no worse", of edit distances and faults together: 20 is evidence at the level of 0.05."""
    win: float = 1.0
    """E-value against "worse by the margin or more", of edit distances."""
    new_distance: float = 0.0
    """Mean of the pairs; so are the other three."""
    old_distance: float = 0.0
    new_faulty: float = 0.0
    old_faulty: float = 0.0
    decision: Decision = Decision.WAIT
    why: str = ""
    """Of a decision, in fixed words."""

    @property
    def reason(self) -> str:
        """Why it was decided, with figures and nothing else: it may be logged and kept."""
        return (
            f"{self.why} after {self.pairs} pairs (harm {self.harm:.3g}, win {self.win:.3g}): "
            f"edit distance {self.new_distance:.3f} against {self.old_distance:.3f}, "
            f"faulty {self.new_faulty:.0%} against {self.old_faulty:.0%}"
        )


def read_trial(new: Sequence[Outcome], old: Sequence[Outcome], rules: Trial, phase: Phase) -> Reading:
    """What the outcomes of a version say, beside those of what it is held to.

    In a trial, `old` are the outcomes of the same time; in a watch, those from before the promotion. The first report
    that decided counts, whenever it is looked at: more looks, or fewer, change nothing.
    """
    pairs = pair_beside(new, old)[: rules.most] if phase is Phase.TRIAL else pair_after(new, old)[: rules.watch]
    longer = e_values((n.distance - o.distance for n, o in pairs), scale=DISTANCE_SCALE)
    faultier = e_values((n.faulty - o.faulty for n, o in pairs), scale=FAULT_SCALE)
    shorter = e_values((o.distance - n.distance + rules.margin for n, o in pairs), scale=DISTANCE_SCALE)
    steps = [(fmean((a, b)), win) for a, b, win in zip(longer, faultier, shorter, strict=True)]
    verdicts = [_decide(phase, n, harm=harm, win=win, rules=rules) for n, (harm, win) in enumerate(steps, 1)]
    count = next((n for n, (decision, _) in enumerate(verdicts, 1) if decision is not Decision.WAIT), len(steps))
    if not count:
        return Reading(phase=phase)
    (harm, win), (decision, why) = steps[count - 1], verdicts[count - 1]
    new, old = zip(*pairs[:count], strict=True)
    return Reading(
        phase=phase,
        pairs=count,
        harm=harm,
        win=win,
        new_distance=fmean(o.distance for o in new),
        old_distance=fmean(o.distance for o in old),
        new_faulty=fmean(o.faulty for o in new),
        old_faulty=fmean(o.faulty for o in old),
        decision=decision,
        why=why,
    )


def _decide(phase: Phase, pairs: int, *, harm: float, win: float, rules: Trial) -> tuple[Decision, str]:
    if harm >= 1 / rules.alpha:
        return (Decision.WITHDRAW if phase is Phase.TRIAL else Decision.ROLL_BACK), "worse than before"
    if phase is Phase.TRIAL and win >= rules.evidence and pairs >= rules.least:
        return Decision.PROMOTE, "no worse"
    if phase is Phase.TRIAL and pairs >= rules.most:
        return Decision.WITHDRAW, "undecided"
    return Decision.WAIT, ""
