"""Corpus BLEU-4, as SacreBLEU counts it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Literal

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from radbridge.evaluation.measure import Figure, Numbers
from radbridge.evaluation.rows import Pair

_ORDER = 4


def _estimate(sums: Numbers) -> Numbers:
    """BLEU of the counts of matching n-grams, the counts of n-grams, and the two lengths."""
    flat = sums.reshape(-1, 2 * _ORDER + 2)
    return np.array([_score(row) for row in flat]).reshape(sums.shape[:-1])


def _score(row: Numbers) -> float:
    correct, total = [round(n) for n in row[:_ORDER]], [round(n) for n in row[_ORDER : 2 * _ORDER]]
    drafted, signed = round(row[-2]), round(row[-1])
    if not signed:
        return float("nan")
    return BLEU.compute_bleu(correct, total, drafted, signed, smooth_method="exp", max_ngram_order=_ORDER).score / 100


class Bleu:
    """Matching runs of one to four words over all reports at once, shorter drafts punished."""

    name = "bleu"
    typecode: Literal["f"] = "f"
    width = 2 * _ORDER + 2
    figures = (Figure(name="bleu", title="BLEU-4", estimate=_estimate, part="text"),)

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """The counts of each pair."""
        for pair in pairs:
            score = _counter().sentence_score(pair.draft.draft, [pair.reference.impression])
            yield *score.counts, *score.totals, score.sys_len, score.ref_len


@cache
def _counter() -> BLEU:
    # The counts don't depend on `effective_order`; without it the library warns of every single sentence.
    return BLEU(lowercase=True, tokenize="13a", smooth_method="exp", max_ngram_order=_ORDER, effective_order=True)
