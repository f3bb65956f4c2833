"""How a policy may please a reward without being any good: it copies, says nothing, doubts everything, goes on and on.

Each is counted beside the signed text wherever a good draft may do the same: who signs the findings' own sentence isn't
accused for it. `evaluation.lengths` has the length, and the drafts that aren't there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from radbridge.draft import Stage
from radbridge.evaluation.claims import find_told
from radbridge.evaluation.measure import BATCH, Figure, ratio
from radbridge.evaluation.reading import labels_of
from radbridge.evaluation.rows import Pair
from radbridge.text import read_words

_HEDGES = re.compile(
    r"\b(?:may|might|could|possibl[ey]|probabl[ey]|likely|perhaps|potential(?:ly)?|suspicious|suspected|suspect|"
    r"suggest(?:s|ive|ing)?|concern(?:s|ing)?|questionable|equivocal|presumabl[ey]|cannot|can(?: not|'t)|"
    r"not excluded|correlat(?:e|ion)|indeterminate|nonspecific)\b",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"<[^>\s]{1,40}>|<\||\|>|\*\*|```|^#{1,6} |\[/?[A-Z]{2,}\]|\{\{|\}\}|https?://|�", re.MULTILINE)
_HUNDRED = 100.0
_LESS: Literal["less"] = "less"


class Hacks:
    """Signs of a reward that was gamed; each is 0 of a draft like the signed text.

    Only `refused` is none of the text: the model server wouldn't have what the LoRA wrote, and told the coarse text.
    """

    name = "hacks"
    typecode: Literal["f"] = "f"
    width = 8
    figures = (
        Figure(name="copied", title="Copied out of the findings", estimate=ratio(2, 1), better=_LESS, part="style"),
        Figure(
            name="bland",
            title="Nothing abnormal told of an abnormal study",
            estimate=ratio(3, 0),
            better=_LESS,
            part="content",
        ),
        Figure(
            name="hedges",
            title="Doubts per 100 words, beyond those signed",
            estimate=ratio(4, 1),
            better=_LESS,
            part="style",
            unit="count",
        ),
        Figure(name="repeats", title="Words said again", estimate=ratio(5, 1), better=_LESS, part="style"),
        Figure(name="markup", title="With markup", estimate=ratio(6, 0), better=_LESS, part="style"),
        Figure(name="refused", title="Refused whole", estimate=ratio(7, 0), better=_LESS, part="guard"),
    )

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """One, whether there is a draft, then what each figure counts."""
        for pair in pairs:
            draft, signed = pair.draft.draft, pair.reference.impression
            findings = pair.reference.findings
            is_there = bool(draft.strip())
            yield (
                1.0,
                float(is_there),
                max(0.0, _copied(draft, findings) - _copied(signed, findings)),
                float(_tells(signed) and not _tells(draft)),
                max(0.0, _hedges(draft) - _hedges(signed)),
                max(0.0, _repeats(draft) - _repeats(signed)),
                float(_MARKUP.search(draft) is not None and _MARKUP.search(signed) is None),
                float(pair.draft.stage == Stage.COARSE),
            )


def _tells(text: str) -> bool:
    """Whether a text tells anything abnormal, by either reader of findings."""
    return bool(labels_of(text) or find_told(text))


@lru_cache(maxsize=4 * BATCH)
def _copied(text: str, findings: str) -> float:
    """The longest run of words that the findings have too, over the words of the text."""
    said, told = read_words(text), read_words(findings)
    run = SequenceMatcher(None, said, told, autojunk=False).find_longest_match(0, len(said), 0, len(told))
    return run.size / len(said) if said else 0.0


def _hedges(text: str) -> float:
    words = len(read_words(text))
    return _HUNDRED * len(_HEDGES.findall(text)) / words if words else 0.0


def _repeats(text: str) -> float:
    """The share of neighbouring words that stand side by side a second time."""
    pairs = Counter(pairwise(read_words(text)))
    return sum(count - 1 for count in pairs.values()) / pairs.total() if pairs else 0.0
