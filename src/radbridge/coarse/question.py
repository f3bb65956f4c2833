"""What the clinical information asks, such as PE in "rule out PE"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from radbridge.coarse.cues import load_questions
from radbridge.text import FUNCTION_WORDS, read_words, stem
from radbridge.text.vocabulary import load_vocabulary

MAX_CHARS = 4_000
_ASKED = re.compile(
    r"(?:\brule[sd]?[ -]?out|\br/o|\br\.o\.|\beval(?:uate|uation)?\b\.?(?:\s+(?:for|of))?|\bassess(?:\s+for)?"
    r"|\bexclude|\bconcern(?:ed|ing)?\s+for|\bsuspect(?:ed)?(?:\s+of)?|\bsuspicion\s+(?:of|for)"
    r"|\bquestion(?:able)?(?:\s+of)?|\bquery|\bpossible|\bcheck\s+for|\blook(?:ing)?\s+for|\?)"
    r"\s*:?\s*(?P<asked>[^.;?\n]{2,80})|(?P<before>[\w /-]{2,60}?)\?",
    re.IGNORECASE,
)
_NOT_ASKED = frozenset(
    "pain history year old male female patient acute disease abnormal clinical evidence other left right".split()
)
_SHORTEST = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Names of findings, and stems of other words."""

    asked: frozenset[str] = frozenset()
    implied: frozenset[str] = frozenset()
    """What a complaint makes one ask (`fall`: a fracture)."""
    organs: frozenset[str] = frozenset()
    """Words whose being normal answers what is asked."""


def read_question(indication: str) -> Question:
    """What `indication` asks; an empty question when it asks nothing."""
    indication = indication[:MAX_CHARS]
    questions, findings = load_questions(), load_vocabulary().findings
    asked: set[str] = set()
    for match in _ASKED.finditer(indication):
        words = [questions.synonyms.get(w, w) for w in read_words(match["asked"] or match["before"] or "")]
        asked.update(concept.name for _, _, concept in findings.find([stem(w) for w in words]))
        asked.update(stem(w) for w in words if w not in FUNCTION_WORDS and w not in _NOT_ASKED and len(w) >= _SHORTEST)
    implied = [name for word in read_words(indication) for name in questions.implied.get(word, ())]
    organs = (word for name in (*asked, *implied) for word in questions.organs.get(name, ()))
    return Question(asked=frozenset(asked), implied=frozenset(implied), organs=frozenset(organs))
