"""ROUGE as the papers count it: F1, stemmed.

Of a text it reads as much as the guard does of a draft: time grows with the product of two lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Literal

from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from radbridge.evaluation.measure import BATCH, Figure, ratio
from radbridge.evaluation.rows import Pair
from radbridge.guard.check import MAX_DRAFT_CHARS
from radbridge.text import label_sentences

_KINDS = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L", "rougeLsum": "ROUGE-Lsum"}
_BY_SENTENCE = ("rougeLsum",)
_WHOLE = tuple(name for name in _KINDS if name not in _BY_SENTENCE)


class Rouge:
    """Overlap of single words, of pairs, of the longest common subsequence, and of that sentence by sentence."""

    name = "rouge"
    typecode: Literal["f"] = "f"
    width = 1 + len(_KINDS)
    figures = tuple(
        Figure(name=name, title=title, estimate=ratio(place, 0), part="text")
        for place, (name, title) in enumerate(_KINDS.items(), 1)
    )

    def rows(self, pairs: Sequence[Pair]) -> Iterator[Sequence[float]]:
        """One, and the F1 of each kind."""
        for pair in pairs:
            signed, draft = pair.reference.impression[:MAX_DRAFT_CHARS], pair.draft.draft[:MAX_DRAFT_CHARS]
            scores = _scorer(_WHOLE).score(signed, draft)
            scores |= _scorer(_BY_SENTENCE).score(_cut(signed), _cut(draft))
            yield 1.0, *(scores[name].fmeasure for name in _KINDS)


def _cut(text: str) -> str:
    """One sentence a line with its list number, and nothing else changed: a break inside a sentence is none."""
    ends = [0, *(s.end for s in label_sentences(text)), len(text)]
    return "\n".join(" ".join(text[start:end].split()) for start, end in pairwise(ends))


@cache
def _scorer(kinds: tuple[str, ...]) -> RougeScorer:
    return RougeScorer(list(kinds), tokenizer=_Tokenizer())


class _Tokenizer:
    """The library's own words and stems; those of the last texts are kept, since every system meets the same ones."""

    def __init__(self) -> None:
        self.tokenize = lru_cache(maxsize=8 * BATCH)(DefaultTokenizer(use_stemmer=True).tokenize)
