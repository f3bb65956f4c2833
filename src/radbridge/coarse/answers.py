"""Cuts an answer out of its sentence: from the word that denies, on."""

from __future__ import annotations

import re

from radbridge.coarse.compress import finish
from radbridge.coarse.places import loses_place
from radbridge.text import content_words
from radbridge.text.scopes import read_statement

_DENIAL = re.compile(r"\b(?:no|without|negative for|free of)\b(?P<rest>.*)$", re.IGNORECASE | re.DOTALL)
_TAIL = re.compile(
    r"\s+(?:is|are|was|were)\s+(?:\w+\s+)?(?:seen|noted|identified|present|visualized|demonstrated|appreciated|detected)$",
    re.IGNORECASE,
)


def cut_answer(clause: str) -> str:
    """`No ...` from the denial in `clause` to its end; the clause itself where that would deny more than it did."""
    match = _DENIAL.search(clause)
    if not match or loses_place(clause, match["rest"]) or _loses_subject(clause[: match.start()], match["rest"]):
        return finish(clause)
    return finish("No " + _TAIL.sub("", match["rest"].strip(" .,;")))


def _loses_subject(head: str, denied: str) -> bool:
    """Whether `head` says of what there is no abnormality: `bones show no abnormality` is no `no abnormality`."""
    return bool(content_words(head)) and not read_statement(denied).mentions
