"""Whether an impression calls the study normal: the reports that any template gets right, and that say least."""

from __future__ import annotations

import re

from radbridge.entities.labels import read_labels
from radbridge.text import split_sentences

_OPENS = re.compile(
    r"(?:there (?:is|are) )?no (?:radiographic |visible |definite |convincing |evidence (?:of|for) |an? |any )*"
    r"(?:acute|active|significant|focal|evidence|change)\b"
    r"|there (?:is|are) no\b|no\b|negative\b|normal\b|unremarkable\b|clear\b|within normal limits\b"
    r"|(?:the )?lungs (?:are )?clear\b|(?:the )?heart size\b|chest radiograph\b|stable(?: appearance| chest)?\b",
    re.IGNORECASE,
)
_HOLDS = re.compile(r"\b(?:no (?:acute|active|evidence|focal)|normal|unremarkable|clear|negative)\b", re.IGNORECASE)


def is_normal(impression: str) -> bool:
    """Whether every sentence is of a normal study and none tells a finding."""
    said = split_sentences(impression)
    return bool(said) and all(_OPENS.match(s) or _HOLDS.search(s) for s in said) and not read_labels(impression)
