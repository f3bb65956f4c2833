"""What a part should reach, beside what it did: the page says which aims were missed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from radbridge.evaluation.report import Evaluation
from radbridge.evaluation.subgroups import SIGNIFICANT
from tests.bench.quality_tables import write_table

MOST_FOREIGN = 5.0
"""Per cent of content words found nowhere, and of drafts kept back."""
THIRD = 100 / 3
WHOLE = "whole_findings"
"""The name of the baseline, and of the same where there is nothing to copy from."""


class Aim(NamedTuple):
    """One figure that should be at least, or at most, so much."""

    what: str
    found: float
    side: Literal["at least", "at most", "above"]
    bound: float
    is_sure: bool = True
    """False: another system is beaten by no more than chance gives."""

    @property
    def reached(self) -> bool:
        """Judged on the figures as they are printed."""
        found, bound = round(self.found, 1), round(self.bound, 1)
        return {"at least": found >= bound, "at most": found <= bound, "above": found > bound}[self.side]


def show_aims(aims: Iterable[Aim]) -> str:
    """A table of them."""
    rows = [[aim.what, f"{aim.side} {aim.bound:.1f}", f"{aim.found:.1f}", _judge(aim)] for aim in aims]
    return write_table(["aim", "", "measured", "reached"], rows)


def _judge(aim: Aim) -> str:
    if not aim.reached:
        return "**no**"
    return "yes" if aim.is_sure else "yes, within chance"


def aim_at_strangers(found: Evaluation, system: str, *, rouge: tuple[float, float] | None) -> Sequence[Aim]:
    """The embedded drafter on reports that it never saw."""
    own, whole = _pick(found, system), _pick(found, WHOLE)
    aims = [
        Aim("words found nowhere, %", own("unsupported_words"), "at most", MOST_FOREIGN),
        Aim("kept back by the guard, %", own("blocked"), "at most", MOST_FOREIGN),
        _aim_above(found, system, "label_f1", "label F1, above that of the whole findings"),
        Aim("length, % of the whole findings'", 100 * own("length_ratio") / whole("length_ratio"), "at most", THIRD),
    ]
    if rouge:
        aims += [
            Aim("ROUGE-1", own("rouge1"), "at least", rouge[0]),
            Aim("ROUGE-L", own("rougeL"), "at least", rouge[1]),
        ]
    return aims


def aim_at_baselines(found: Evaluation, system: str) -> Sequence[Aim]:
    """A site's own model against retrieval: at once in all of these."""
    own, medoid = (_pick(found, name) for name in (system, "medoid10"))
    abnormal, copied = (_pick(found, name, abnormal=True)("rougeL") for name in (system, "medoid10"))
    return [
        Aim("ROUGE-1, 2 above the medoid", own("rouge1"), "at least", medoid("rouge1") + 2),
        Aim("ROUGE-2, 2 above the medoid", own("rouge2"), "at least", medoid("rouge2") + 2),
        Aim("ROUGE-L, 2 above the medoid", own("rougeL"), "at least", medoid("rougeL") + 2),
        Aim("ROUGE-L on abnormal reports, 5 above the medoid", abnormal, "at least", copied + 5),
        Aim("label F1, 20 above the medoid", own("label_f1"), "at least", medoid("label_f1") + 20),
        _aim_above(found, system, "label_f1", "label F1, above the whole findings"),
    ]


def aim_at_memory(found: Evaluation, without: str, with_most: str) -> Sequence[Aim]:
    """What the memory takes off the signer's work."""
    before, after = (_pick(found, name)("edit_distance") for name in (without, with_most))
    return [Aim("edit distance, % less than without a memory", 100 * (1 - after / before), "at least", 25.0)]


def _aim_above(found: Evaluation, system: str, figure: str, what: str) -> Aim:
    """To be above the whole findings; surely so when the paired test says it."""
    own, whole = (_pick(found, name)(figure) for name in (system, WHOLE))
    tests = {(note.system, note.other, note.figure, note.subset): note.p_corrected for note in found.comparisons}
    p = tests.get((system, WHOLE, figure, "all"))
    return Aim(what, own, "above", whole, is_sure=p is not None and p < SIGNIFICANT)


def _pick(found: Evaluation, name: str, *, abnormal: bool = False) -> Callable[[str], float]:
    """The figures of one system by their names, as per cent."""
    system = next(note for note in found.systems if note.name == name)
    figures = system.abnormal if abnormal else system.figures
    return lambda figure: 100 * (figures[figure].value or 0.0)
