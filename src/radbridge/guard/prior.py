"""Comparison words need something to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from radbridge.draft import Flag
from radbridge.text import read_words

_COMPARES = frozenset(
    "unchanged worsened worsening improved improving improvement progressed progression enlarging".split()
)
_PRIOR = _COMPARES | frozenset(
    """stable prior previous previously comparison compared old chronic since again new newly persistent persists
    residual increased decreased larger smaller change changed changes still remains remain redemonstrated earlier
    recent recently resolved resolution resolving increasing decreasing remained continued continues interval""".split()
)
_NO_PRIOR = frozenset(("", "none", "none available", "not available", "no", "no prior", "no priors", "n a", "na"))


def check_prior(draft: str, findings: str, indication: str, comparison: str) -> Iterator[Flag]:
    """A flag where the draft compares though no prior is named anywhere."""
    if " ".join(read_words(comparison)) not in _NO_PRIOR:
        return
    used = [w for w in dict.fromkeys(read_words(draft)) if w in _COMPARES]
    if used and _PRIOR.isdisjoint(chain(read_words(findings), read_words(indication))):
        yield Flag(kind="comparison", message=f"the draft says {used[0]!r}, and no prior study is named")
