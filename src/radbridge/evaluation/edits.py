"""How much a signer would have to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from radbridge.draft import FlagKind
from radbridge.edit import REWRITTEN_FROM, Outcome, judge, measure_distance
from radbridge.evaluation.measure import Figure, ratio
from radbridge.evaluation.reading import flags_of, is_blocked, labels_of
from radbridge.evaluation.rows import Pair


class Edits:
    """Distance to the signed text in words, and the share of drafts that could be signed."""

    name = "edits"
    typecode: Literal["f"] = "f"
    width = 4
    figures = (
        Figure(name="edit_distance", title="Edit distance", estimate=ratio(1, 0), part="edit", better="less"),
        Figure(name="verbatim", title="Signed with the same words", estimate=ratio(2, 0), part="edit"),
        Figure(name="acceptable", title="Acceptable as is", estimate=ratio(3, 0), part="edit"),
    )

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """One, the distance, whether the words are the same, and whether the draft is acceptable."""
        for pair in pairs:
            distance = measure_distance(pair.draft.draft, pair.reference.impression)
            is_verbatim = judge(distance, delivered=True) is Outcome.ACCEPTED
            yield 1.0, distance, float(is_verbatim), float(_is_acceptable(pair, distance))


def _is_acceptable(pair: Pair, distance: float) -> bool:
    """Less than half rewritten, the same labels, nothing that the guard keeps back, and nothing grave left out."""
    return (
        distance < REWRITTEN_FROM
        and labels_of(pair.draft.draft) == labels_of(pair.reference.impression)
        and not is_blocked(pair)
        and not any(flag.kind == FlagKind.OMITTED for flag in flags_of(pair))
    )
