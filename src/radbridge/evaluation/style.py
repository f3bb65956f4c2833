"""Whether drafts sound like the signer, whatever they say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from radbridge.evaluation.measure import Figure, ratio
from radbridge.evaluation.rows import Pair
from radbridge.style.features import measure_style


class Style:
    """Distance in habits of writing: length, lists, capitals, telegraphic sentences, hedging, and the like."""

    name = "style"
    typecode: Literal["f"] = "f"
    width = 2
    figures = (
        Figure(
            name="style_distance",
            title="Style distance",
            estimate=ratio(1, 0),
            better="less",
            unit="ratio",
            part="style",
        ),
    )

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """One, and the distance between draft and signed text."""
        for pair in pairs:
            yield 1.0, measure_style(pair.draft.draft, pair.reference.impression)
