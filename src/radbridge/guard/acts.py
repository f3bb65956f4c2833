"""What a sentence does beside stating findings: it advises, or it says whom somebody told."""

from __future__ import annotations

import re
from enum import StrEnum


class Act(StrEnum):
    """Something that only a person can have decided or done: a model must not make it up."""

    ADVICE = "advice"
    TALK = "talk"
    """A communication: `Findings were discussed with Dr. Doe`."""


_SIGNS = {
    Act.ADVICE: r"recommend\w*|advis(?:e|ed|able)|follow[- ]?ups?|correlat(?:e|ed|ion)|consider|clinical evaluation"
    r"|further (?:evaluation|assessment|imaging|work-?up)|(?:should|could|may|can) be (?:considered|obtained|performed)"
    r"|(?:evaluation|assessment|imaging|ct|mri?|ultrasound|radiographs?|study|examination|biopsy)\b[^.;]*"
    r"\b(?:suggested|considered|warranted)",
    Act.TALK: r"discuss(?:ed|ion)|communicated|conveyed|relayed|notified|informed|telephoned|phoned|paged|made aware"
    r"|read[- ]back|verbal(?:ly)?|(?:called|reported|told) (?:in )?to|(?:by|via|over the) (?:tele)?phone|doctor"
    r"|drs?(?=\.\s)",
}
_PATTERNS = {act: re.compile(rf"\b(?:{signs})\b", re.IGNORECASE) for act, signs in _SIGNS.items()}


def read_acts(text: str) -> frozenset[Act]:
    """What is done in a text."""
    return frozenset(act for act, pattern in _PATTERNS.items() if pattern.search(text))
