"""Sides and spinal levels: what a shortened statement must never lose."""

from __future__ import annotations

import re

LEVEL = re.compile(r"\b[CTLS]\d{1,2}\b", re.IGNORECASE)
_PLACES = (re.compile(r"\b(?:left|right)\b", re.IGNORECASE), LEVEL)


def loses_place(whole: str, part: str) -> bool:
    """Whether `whole` names a side or a level and `part`, taken out of it, names none of that sort."""
    return any(place.search(whole) and not place.search(part) for place in _PLACES)
