"""The words that no reward ever reads: a policy that learned to please the others is found out by these."""

from __future__ import annotations

import hashlib
from functools import lru_cache

_HELD_OUT = 77
"""Of 256: three in ten."""


@lru_cache(maxsize=1 << 15)
def is_held_out(stem: str) -> bool:
    """Whether a word, by its stem, is kept for evaluation alone. It is the same for every site and every run."""
    return hashlib.sha256(f"held out{stem}".encode()).digest()[0] < _HELD_OUT
