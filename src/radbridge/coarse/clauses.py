"""Sentences cut into clauses that can each stand alone."""

from __future__ import annotations

import re

_BREAK = re.compile(
    r"\s*;\s+|,?\s+(?:but|however,?|although|while|whereas)\s+(?=there\b|the\b|no\b|an?\b)"
    r"|,?\s+and\s+(?=there (?:is|are)\b|no\b)",
    re.IGNORECASE,
)
_EXCEPT = re.compile(
    r"^(?P<head>.*?),?\s+(?:aside from|except for|other than|apart from|with the exception of)\s+(?P<rest>.+)$",
    re.IGNORECASE,
)
_WORDS_ENOUGH = 2


def split_clauses(sentence: str) -> list[str]:
    """`sentence` cut where a new subject begins; one clause when nothing safe to cut was found."""
    clauses = [c.strip(" ,") for c in _BREAK.split(sentence)]
    return clauses if all(len(c.split()) >= _WORDS_ENOUGH for c in clauses) else [sentence]


def split_exception(clause: str) -> tuple[str, str]:
    """`Clear except for a nodule` as `Clear` and `a nodule`; the second is empty where there is no exception."""
    match = _EXCEPT.match(clause)
    return (match["head"], match["rest"]) if match else (clause, "")
