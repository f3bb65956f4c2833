"""A sequential test by betting: evidence that may be looked at after every report, as often as anybody likes.

Whoever doubts the null hypothesis begins with 1 and bets a fixed share of what they have on each next difference. Where
the hypothesis holds no such bet can be expected to win, so that the fortune E reaches 1/alpha with a probability of at
most alpha, at any time (Ville 1939; Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by
betting"). No number of reports has to be fixed beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Bet on each difference by players who each began with a fifth: small shares see slow drifts, large ones jumps."""


def e_values(differences: Iterable[float], *, scale: float) -> Iterator[float]:
    """The e-value after each difference, against "the differences are no larger than 0, taken all in all".

    A difference of `scale` or more counts as the largest. Under the hypothesis a difference is as likely as its
    opposite, or smaller: then the share that is bet on it has an expectation of at most 0.
    """
    fortunes = [0.0] * len(SHARES)  # logarithms: a long trial's fortune is no float
    for difference in differences:
        x = max(-1.0, min(1.0, difference / scale))
        fortunes = [f + math.log1p(share * x) for f, share in zip(fortunes, SHARES, strict=True)]
        best = max(fortunes)
        log_mean = best + math.log(math.fsum(math.exp(f - best) for f in fortunes) / len(SHARES))
        yield math.exp(min(log_mean, _LARGEST))


_LARGEST = 700.0
"""The logarithm of about the largest float."""
