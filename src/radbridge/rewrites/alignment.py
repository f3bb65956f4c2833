"""Which signed sentence is whose rewrite: only one that serving would accept as such."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product

from radbridge.coarse import Statement
from radbridge.guard import find_fault
from radbridge.style.signed import JOINT, read_signed
from radbridge.text import content_words

_JOINT = re.compile(re.escape(JOINT), re.IGNORECASE)
_WORD = re.compile(r"[^\W_][\w-]*")
_BEGINNING = re.compile(r"(?:^|[.?!:;] )\W*$")


def split_signed(impression: str, coarse: Sequence[Statement]) -> tuple[str, ...]:
    """The sentences of a signed impression, without marks and framing; `No A, and no B.` is two.

    `coarse` are the statements of the findings that it was signed for.
    """
    return tuple(part for said in read_signed(impression, coarse).sentences for part in _take_apart(said))


def align(statements: Sequence[str], sentences: Sequence[str]) -> list[tuple[str, str]]:
    """Statements with the sentence that rewrites each, in the order of `statements`; those that have none are left out.

    Each sentence serves once. The guard's own check decides, and of several the one with the most words in common. A
    sentence of a signer who writes in capitals only has the statement's own put back: `l4-l5` is no style.
    """
    likeness = {
        (i, j): len(set(content_words(statement)) & set(content_words(sentence)))
        for (i, statement), (j, sentence) in product(enumerate(statements), enumerate(sentences))
        if not find_fault(sentence, statement)
    }
    found: dict[int, int] = {}
    for i, j in sorted(likeness, key=lambda pair: (-likeness[pair], pair)):
        if i not in found and j not in found.values():
            found[i] = j
    return [(statements[i], like_case(sentences[j], statements[i])) for i, j in sorted(found.items())]


def like_case(sentence: str, statement: str) -> str:
    """`sentence` with the capitals of `statement`, where it has none but at its beginning."""
    if sentence != sentence.capitalize():
        return sentence
    own = {word.lower(): word for word in _read_capitals(statement)}
    return _WORD.sub(lambda match: own.get(match[0].lower(), match[0]), sentence)


def _take_apart(sentence: str) -> Iterator[str]:
    first, *others = _JOINT.split(sentence)
    yield f"{first.rstrip('.')}." if others else first
    yield from (f"No {other.rstrip('.')}." for other in others)


def _read_capitals(statement: str) -> Iterator[str]:
    """Words written with capitals that they have in the middle of a sentence too."""
    for match in _WORD.finditer(statement):
        word = match[0]
        begins = bool(_BEGINNING.search(statement[: match.start()]))
        if word != word.lower() and (not begins or word[1:] != word[1:].lower() or not word.isalpha()):
            yield word
