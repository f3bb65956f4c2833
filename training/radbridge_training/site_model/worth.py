"""What a text would have been worth for a report that was signed."""

from __future__ import annotations

from collections.abc import Sequence

from rouge_score.rouge_scorer import RougeScorer

from radbridge.entities.labels import read_labels

_ROUGE = ("rouge1", "rouge2", "rougeL")
_F1, _LABELS = 0.6, 1.2
"""Micro F1 over labels, and the labels of two texts, about which the worth of one label more is taken."""


class Appraiser:
    """Mean ROUGE, and what the text would add to micro F1 over labels, which counts `label_share` as much."""

    def __init__(self, label_share: float) -> None:
        self._label_share = label_share
        self._scorer = RougeScorer(list(_ROUGE), use_stemmer=True)

    def appraise(self, texts: Sequence[str], signed: str) -> list[float]:
        """The worth of each text."""
        meant = read_labels(signed)
        return [self._score(text, signed) + self._label_share * _gain(read_labels(text), meant) for text in texts]

    def _score(self, text: str, signed: str) -> float:
        return float(sum(score.fmeasure for score in self._scorer.score(signed, text).values())) / len(_ROUGE)


def _gain(said: frozenset[str], meant: frozenset[str]) -> float:
    """The slope of F1 = 2 |said and meant| / (|said| + |meant|) over all reports."""
    return (2 * len(said & meant) - _F1 * len(said)) / _LABELS
