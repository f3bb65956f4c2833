"""Sentences, and what the injector can tell of one by its own simple means: topics, negation, doubt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from tests.bench.guard.lists import lines, stems, words

STEM = 5
"""So many letters tell two words apart."""
_BREAK = re.compile(r"(?<=[.!?;])\s+|\n+")
_NUMBER = re.compile(r"\s*(?:\(?\d{1,2}[.)]|[-*•])\s+")
_LONE_NUMBER = re.compile(r"\(?\d{1,2}[.)]")
_WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*")
HIDDEN = re.compile(r"X{3,}|_{2,}|\*{2,}|\[[^\]]*\]")
"""A word that was taken out, or a field that nobody filled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """A sentence, without the number that a list gives it, and where it stands."""

    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@lru_cache(maxsize=4096)
def split(text: str) -> tuple[Sentence, ...]:
    """The sentences of `text`."""
    return tuple(_split(text))


def _split(text: str) -> Iterator[Sentence]:
    start = 0
    for end, following in [*((m.start(), m.end()) for m in _BREAK.finditer(text)), (len(text), len(text))]:
        if _LONE_NUMBER.fullmatch(text[start:end].strip()):
            continue  # the number of a list: its sentence goes on
        number = _NUMBER.match(text, start, end)
        begin = number.end() if number else start
        part = text[begin:end].rstrip()
        if lead := len(part) - len(part.lstrip()):
            begin, part = begin + lead, part.lstrip()
        if part:
            yield Sentence(text=part, start=begin)
        start = following


@lru_cache(maxsize=16384)
def topics(text: str) -> frozenset[str]:
    """Stems of the words that may name a finding: neither anatomy nor grammar, nor a word of negation or doubt."""
    idle = words("anatomy.words") | words("plain.words") | words("negation.words") | words("certainty.words")
    return frozenset(w[:STEM] for w in _WORD.findall(text.lower()) if w not in idle and len(w) > 2)


@lru_cache(maxsize=16384)
def named(text: str) -> frozenset[str]:
    """Stems of the listed findings that `text` names."""
    known = stems("findings.stems")
    return frozenset(w[:STEM] for w in _WORD.findall(text.lower()) if w.startswith(known))


def negated(text: str) -> bool:
    """Whether anything in the sentence is denied."""
    return not words("negation.words").isdisjoint(_WORD.findall(text.lower()))


def hedged(text: str) -> bool:
    """Whether anything in the sentence is in doubt."""
    return not words("certainty.words").isdisjoint(_WORD.findall(text.lower()))


def tells_of_before(text: str) -> bool:
    """Whether an earlier study, or a change since then, is spoken of."""
    return not words("comparison.prior").isdisjoint(re.findall(r"[a-z-]+", text.lower()))


@lru_cache(maxsize=4096)
def other_names(text: str) -> frozenset[str]:
    """Stems of other names for what `text` names."""
    lower = text.lower()
    groups = [{s.strip() for s in line.split("|")} for line in lines("same.groups")]
    return frozenset(stem for group in groups if any(s in lower for s in group) for stem in group)


def sharing(text: str, wanted: frozenset[str]) -> list[Sentence]:
    """The sentences of `text` that touch any of the topics."""
    return [s for s in split(text) if wanted & (topics(s.text) | named(s.text))]
