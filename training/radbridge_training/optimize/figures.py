"""How work tells how far it is, and what it measured of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

Tell: TypeAlias = Callable[[str, int, int], None]
"""`tell(phase, done, total)`: called as often as the work likes; whoever listens decides how often it shows."""

Figures: TypeAlias = Mapping[str, float]
"""What a trainer tells of its work: `steps`, `seconds`, `loss`, `tokens`, `rows`, `hard`, `kept`, `pairs`."""


def tell_nobody(phase: str, done: int, total: int) -> None:
    """A `Tell` for work that nobody watches."""
