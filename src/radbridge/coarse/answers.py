"""Cuts an answer out of its sentence: from the word that denies, on."""

from __future__ import annotations

import re

from radbridge.coarse.compress import finish
from radbridge.coarse.places import loses_place

_DENIAL = re.compile(r"\b(?:no|without|negative for|free of)\b(?P<rest>.*)$", re.IGNORECASE | re.DOTALL)
_TAIL = re.compile(
    r"\s+(?:is|are|was|were)\s+(?:\w+\s+)?(?:seen|noted|identified|present|visualized|demonstrated|appreciated|detected)$",
    re.IGNORECASE,
)


def cut_answer(clause: str) -> str:
    """`No ...` from the denial in `clause` to its end; the clause itself where that would deny more than it did."""
    match = _DENIAL.search(clause)
    if not match or loses_place(clause, match["rest"]):
        return finish(clause)
    return finish("No " + _TAIL.sub("", match["rest"].strip(" .,;")))
