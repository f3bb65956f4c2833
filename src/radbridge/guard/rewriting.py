"""Whether a rewrite says what the text before it said: nothing more, nothing less, on the same side."""

from __future__ import annotations

import re
from collections import Counter

from radbridge.guard.acts import read_acts
from radbridge.guard.support import unsupported_words
from radbridge.text import content_words, drop_list_numbers, read_words, split_sentences

_SIDES = frozenset({"left", "right", "bilateral"})
_TWO_VERBS = re.compile(
    r"\bThere (?:is|are)\b(?:(?!\b(?:which|that|who)\b)[^.;:\n]|\.(?=\d))*?"
    r"\b(?:is|are|was|were|measures?|shows?|demonstrates?|appears?|contains?)\b"
)
"""`There is CBD measures 4 mm`: a lead-in put before what was a sentence already."""
_TORN = re.compile(r"[.?!] (?=[a-z]{2})")
"""`Off the tail. the pancreas`: a full stop where a sentence went on."""
_NEGATIONS = frozenset({"no", "not", "without", "none", "never", "cannot", "negative", "absent"})
_DOUBT = re.compile(
    r"\b(?:can ?not|could not|not)\b"
    r"(?=\W+(?:(?:be|entirely|completely|definitely|reliably)\W+){0,2}(?:excluded?|ruled?\W+out)\b)",
    re.IGNORECASE,
)
"""`cannot exclude pneumonia` denies nothing."""
_NORMAL = frozenset({"normal", "unremarkable", "clear", "intact", "healthy", "fine"})
"""Said beside a finding and not of it, these tell the next reader that it is nothing."""


def find_fault(rewrite: str, original: str, *sources: str) -> str:
    """What is wrong with `rewrite` as another way to say `original`; empty when nothing is.

    Content may also come from `sources`, the findings among them. Numbers and sides keep their order, so that two
    findings can't trade places unseen. A negation may be repeated for each item of a list, never lost or made up.
    """
    faults = (
        ("unsupported content", unsupported_words(rewrite, original, *sources)),
        ("a number was lost or changed", _numbers(rewrite) != _numbers(original)),
        ("laterality was changed", _sides(rewrite) != _sides(original)),
        ("a negation was lost or added", not _denies_alike(rewrite, original)),
        ("it calls normal what isn't", _calls_normal(rewrite) and not _calls_normal("\n".join((original, *sources)))),
        ("content was lost", unsupported_words(original, rewrite)),
        ("it repeats itself", _repeats(rewrite) > _repeats(original) or _says_more_often(rewrite, original)),
        ("advice or a talk was added", read_acts(rewrite) - read_acts("\n".join((original, *sources)))),
        ("a word was misspelt", _odd_words(rewrite) - _odd_words(original)),
        ("a sentence was torn", len(_TORN.findall(rewrite)) > len(_TORN.findall(original))),
        ("a sentence has two verbs", len(_TWO_VERBS.findall(rewrite)) > len(_TWO_VERBS.findall(original))),
    )
    return next((fault for fault, found in faults if found), "")


def _odd_words(text: str) -> set[str]:
    """`cBD`: what is left when only the first letter of an abbreviation is made small."""
    return set(re.findall(r"\b[a-z][A-Z]{2,}\b", text))


def _repeats(text: str) -> int:
    sentences = [tuple(content_words(s)) for s in split_sentences(drop_list_numbers(text))]
    return len(sentences) - len(set(sentences))


def _says_more_often(rewrite: str, original: str) -> bool:
    """`A 97 mm hematoma is seen mm hematoma is seen`: within one sentence too, a model may go round in circles."""
    said, before = Counter(content_words(rewrite)), Counter(content_words(original))
    return any(word in before for word in said - before)


def _numbers(text: str) -> list[str]:
    return [word for word in read_words(drop_list_numbers(text)) if word[0].isdigit()]


def _sides(text: str) -> list[str]:
    return [word for word in read_words(text) if word in _SIDES]


def _denies_alike(rewrite: str, original: str) -> bool:
    (doubts_before, before), (doubts_after, after) = map(_count_denials, (original, rewrite))
    return after >= before and bool(after) == bool(before) and bool(doubts_after) == bool(doubts_before)


def _count_denials(text: str) -> tuple[int, int]:
    """How often something isn't excluded, and how often it is denied."""
    plain, doubts = _DOUBT.subn(" ", text)
    return doubts, sum(word in _NEGATIONS for word in read_words(plain))


def _calls_normal(text: str) -> bool:
    return not _NORMAL.isdisjoint(read_words(text))
