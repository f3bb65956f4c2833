"""How long drafts are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from radbridge.evaluation.measure import Figure, ratio
from radbridge.evaluation.rows import Pair


class Lengths:
    """Words, as white space parts them, and how they relate to what was signed."""

    name = "lengths"
    typecode: Literal["f"] = "f"
    width = 4
    figures = (
        Figure(name="words", title="Words", estimate=ratio(1, 0), part="style", better="neither", unit="words"),
        Figure(
            name="length_ratio",
            title="Words over words signed",
            estimate=ratio(1, 2),
            part="style",
            better="neither",
            unit="ratio",
        ),
        Figure(name="empty", title="Without a draft", estimate=ratio(3, 0), part="style", better="less"),
    )

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """One, the words drafted and signed, and whether there is no draft."""
        for pair in pairs:
            words = len(pair.draft.draft.split())
            yield 1.0, words, len(pair.reference.impression.split()), float(not words)
