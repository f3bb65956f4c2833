"""Finding labels: what a draft says is there, beside what was signed. By our own labeler, `entities.labels`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from radbridge.entities.labels import chexpert_names, label_names
from radbridge.evaluation.measure import Figure, Numbers, safe_divide
from radbridge.evaluation.reading import labels_of
from radbridge.evaluation.rows import Pair

COUNTS = 3
"""Numbers of one set of labels: said and meant, only said, only meant."""


def f1_of(both: Numbers, said: Numbers, meant: Numbers) -> Numbers:
    """F1 of labels in both texts, only in the draft, only in the signed one; NaN where there are none at all."""
    return safe_divide(2 * both, 2 * both + said + meant)


def _f1(at: int) -> Callable[[Numbers], Numbers]:
    return lambda sums: f1_of(sums[..., at], sums[..., at + 1], sums[..., at + 2])


def _precision(sums: Numbers) -> Numbers:
    return safe_divide(sums[..., 0], sums[..., 0] + sums[..., 1])


def _recall(sums: Numbers) -> Numbers:
    return safe_divide(sums[..., 0], sums[..., 0] + sums[..., 2])


class Labels:
    """Micro F1 over positive labels. A report without any, drafted as such, neither earns nor costs."""

    name = "labels"
    typecode: Literal["B"] = "B"
    width = 2 * COUNTS
    figures = (
        Figure(name="label_f1", title="Label F1", estimate=_f1(0), part="content"),
        Figure(name="label_precision", title="Label precision", estimate=_precision, part="content"),
        Figure(name="label_recall", title="Label recall", estimate=_recall, part="content"),
        Figure(name="chexpert_f1", title="Label F1, the 13 of CheXpert", estimate=_f1(COUNTS), part="content"),
    )

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """The counts over all labels, and over the 13 of CheXpert."""
        chexpert = frozenset(chexpert_names())
        for pair in pairs:
            said, meant = labels_of(pair.draft.draft), labels_of(pair.reference.impression)
            yield *_count(said, meant), *_count(said & chexpert, meant & chexpert)


class EachLabel:
    """Which labels are said and which are meant, a bit each: `LabelCounts` makes counts of them, `figures` a table."""

    name = "each_label"
    typecode: Literal["B"] = "B"
    figures = ()

    @property
    def width(self) -> int:
        return 2 * _bytes()

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """The bits of the draft's labels, then those of the signed text's, in the order of `label_names`."""
        names = label_names()
        for pair in pairs:
            texts = (pair.draft.draft, pair.reference.impression)
            yield np.packbits([[name in labels_of(text) for name in names] for text in texts], axis=1).ravel().tolist()


class LabelCounts:
    """Rows of `EachLabel` as counts, `COUNTS` of each label. Only what is looked at is ever unpacked."""

    def __init__(self, packed: NDArray[np.generic]) -> None:
        self._packed = packed.astype(np.uint8, copy=False)
        self.shape = (len(packed), COUNTS * len(label_names()))

    def __len__(self) -> int:
        return len(self._packed)

    def __getitem__(self, piece: slice) -> NDArray[np.uint8]:
        bits = np.unpackbits(self._packed[piece].reshape(-1, 2, _bytes()), axis=2, count=len(label_names()))
        said, meant = bits[:, 0], bits[:, 1]
        return np.stack([said & meant, said & ~meant & 1, meant & ~said & 1], axis=2).reshape(-1, self.shape[1])


def _bytes() -> int:
    return -(-len(label_names()) // 8)


def _count(said: frozenset[str], meant: frozenset[str]) -> tuple[int, int, int]:
    return len(said & meant), len(said - meant), len(meant - said)
