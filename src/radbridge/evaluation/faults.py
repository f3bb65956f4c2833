"""What is wrong with drafts: the guard's flags, findings left out, and findings and words that come from nowhere.

What is left out and what is made up are counted apart: they hurt in different ways, and less of one is easily bought
with more of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from radbridge.draft import FlagKind
from radbridge.evaluation.measure import Figure, ratio
from radbridge.evaluation.reading import flags_of, is_blocked, labels_of
from radbridge.evaluation.rows import Pair
from radbridge.guard import unsupported_words
from radbridge.text import content_words

KINDS = tuple(
    kind
    for kind in FlagKind
    if kind not in {FlagKind.CRITICAL, FlagKind.CONTRADICTION, FlagKind.CONTEXT_CUT, FlagKind.LEFT_OUT}
)
"""Kinds that speak of an error in the draft itself."""
_THERE = 9
"""The column of drafts that are there."""
_FIRST_KIND = 10
_LESS: Literal["less"] = "less"


class Faults:
    """Shares and mean counts.

    What is left out is counted over all reports: a draft that isn't there leaves out everything. What is flagged or
    made up is counted over the drafts that are there: who writes nothing isn't safe, but unknown.
    """

    name = "faults"
    typecode: Literal["f"] = "f"
    width = _FIRST_KIND + len(KINDS)
    figures = (
        Figure(name="flagged", title="Flagged by the guard", estimate=ratio(1, _THERE), better=_LESS, part="guard"),
        Figure(name="blocked", title="Kept back by the guard", estimate=ratio(2, _THERE), better=_LESS, part="guard"),
        Figure(
            name="omitted", title="Findings left out", estimate=ratio(3, 0), better=_LESS, part="content", unit="count"
        ),
        Figure(
            name="any_omitted", title="Drafts that leave one out", estimate=ratio(4, 0), better=_LESS, part="content"
        ),
        Figure(
            name="unsupported",
            title="Findings made up",
            estimate=ratio(5, _THERE),
            better=_LESS,
            part="content",
            unit="count",
        ),
        Figure(
            name="any_unsupported",
            title="Drafts that make one up",
            estimate=ratio(6, _THERE),
            better=_LESS,
            part="content",
        ),
        Figure(
            name="unsupported_words", title="Words found nowhere", estimate=ratio(7, 8), better=_LESS, part="content"
        ),
        *(
            Figure(
                name=f"flag_{kind}",
                title=f"Flag: {kind.replace('_', ' ')}",
                estimate=ratio(place, _THERE),
                better=_LESS,
                part="guard",
            )
            for place, kind in enumerate(KINDS, _FIRST_KIND)
        ),
    )

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """One, the counts in the order of the first figures, whether there is a draft, which kinds are flagged."""
        for pair in pairs:
            told, draft = pair.reference, pair.draft.draft
            said = labels_of(draft)
            omitted = len(labels_of(told.impression) - said)
            unsupported = len(said - labels_of(told.findings) - labels_of(told.indication))
            kinds = {flag.kind for flag in flags_of(pair)}
            yield (
                1.0,
                float(not kinds.isdisjoint(KINDS)),
                float(is_blocked(pair)),
                omitted,
                float(omitted > 0),
                unsupported,
                float(unsupported > 0),
                len(unsupported_words(draft, told.findings, told.indication)),
                len(content_words(draft)),
                float(bool(draft.strip())),
                *(float(kind in kinds) for kind in KINDS),
            )
