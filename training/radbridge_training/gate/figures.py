"""What the gate counts of drafts: its own list, longer than what any reward looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from radbridge.evaluation.edits import Edits
from radbridge.evaluation.faults import Faults
from radbridge.evaluation.hacks import Hacks
from radbridge.evaluation.labels import Labels
from radbridge.evaluation.lengths import Lengths
from radbridge.evaluation.measure import Figure, Measure, Numbers, ratio, safe_divide
from radbridge.evaluation.reading import flags_of
from radbridge.evaluation.rows import Pair
from radbridge.evaluation.second import SecondChecker
from radbridge.evaluation.style import Style
from radbridge.guard import unsupported_words
from radbridge.guard.policy import BLOCKING_KINDS, GuardPolicy
from radbridge.learning.vocabulary import is_held_out
from radbridge.text import content_words, stem

KINDS = tuple(sorted(BLOCKING_KINDS))
"""Kinds of flags that keep a draft back by default."""
_PREFIX = "blocks_"
_LESS: Literal["less"] = "less"


def _gap(sums: Numbers) -> Numbers:
    return safe_divide(sums[..., 0], sums[..., 1]) - safe_divide(sums[..., 2], sums[..., 3])


class BlockingKinds:
    """For each kind the share of drafts that a flag of it keeps back."""

    name = "blocking_kinds"
    typecode: Literal["B"] = "B"
    width = 1 + len(KINDS)
    figures = tuple(
        Figure(
            name=f"{_PREFIX}{kind}",
            title=f"Kept back: {kind.replace('_', ' ')}",
            estimate=ratio(place, 0),
            better=_LESS,
            part="guard",
        )
        for place, kind in enumerate(KINDS, 1)
    )

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """One, and whether each kind blocks."""
        for pair in pairs:
            kinds = {flag.kind for flag in GuardPolicy().judge(flags_of(pair)).blocking}
            yield 1, *(int(kind in kinds) for kind in KINDS)


class VocabularyGap:
    """Words found neither in the case nor in what was signed: those that rewards look at, and those they never see.

    A policy that only learned to please the reward's words is worse with the others.
    """

    name = "vocabulary"
    typecode: Literal["f"] = "f"
    width = 4
    figures = (
        Figure(
            name="held_out_faults",
            title="Held-out words found nowhere",
            estimate=ratio(0, 1),
            better=_LESS,
            part="content",
        ),
        Figure(
            name="seen_faults", title="Other words found nowhere", estimate=ratio(2, 3), better=_LESS, part="content"
        ),
        Figure(
            name="held_out_gap",
            title="Held-out words found nowhere, beyond the others",
            estimate=_gap,
            better=_LESS,
            part="content",
        ),
    )

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """Held-out words found nowhere and in all, then the other ones."""
        for pair in pairs:
            draft, told = pair.draft.draft, pair.reference
            sources = (told.findings, told.indication, told.comparison, told.impression)
            nowhere = [is_held_out(stem(w)) for w in unsupported_words(draft, *sources)]
            said = [is_held_out(word) for word in set(content_words(draft))]
            yield sum(nowhere), sum(said), len(nowhere) - sum(nowhere), len(said) - sum(said)


def gate_measures() -> tuple[Measure, ...]:
    """Everything that a rule of the gate may name, and what its page shows beside that."""
    return (
        Faults(),
        Labels(),
        Edits(),
        Style(),
        Lengths(),
        SecondChecker(),
        Hacks(),
        BlockingKinds(),
        VocabularyGap(),
    )
