"""Reads the entities of a text, statement by statement."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from radbridge.entities.cues import load_cues
from radbridge.entities.entity import Certainty, Entity
from radbridge.entities.lexicon import Lexicon, load_lexicon
from radbridge.entities.measures import Measure, read_measures
from radbridge.entities.modifiers import Told, tell
from radbridge.entities.phrasing import Label, Phrasing, read_label, read_phrasing
from radbridge.text import MAX_CHARS, Sentence, label_sentences, read_words, stem

_LONGEST_ANSWER = 20
_ASKED_FIRST = re.compile(r"(?<![\w)?])\?[^,;:.!?\n]*$")
_ASKED_LAST = re.compile(r"[^,;:.!?\n]*(?<=[\w)])\?")
"""What is asked, `?PE` and `PE?`: seen from the mention, up to the comma."""
_LONGEST = 2_000
"""Characters of a statement that is read as one: what has no full stop for longer is no sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One statement: its words, where they stand in the text, and what it tells."""

    phrasing: Phrasing = field(repr=False)
    label_stems: frozenset[str] = field(repr=False)
    """Of the heading that it stands under."""
    told: Told


@dataclass(frozen=True, kw_only=True, slots=True)
class EntityText:
    """A text read. What it holds is in order."""

    text: str = field(repr=False)
    statements: tuple[Statement, ...]
    measures: tuple[Measure, ...]
    entities: tuple[Entity, ...]
    stems: frozenset[str] = field(repr=False)
    """Of all its words, those of headings too."""

    def measures_of(self, statement: int) -> list[Measure]:
        """The measurements in one statement, by its index."""
        places = self.statements[statement].phrasing.places
        return [m for m in self.measures if places[0][0] <= m.start < places[-1][1]]


def read_entities(text: str, *, at_most: int = MAX_CHARS, lexicon: Lexicon | None = None, tier: int = 0) -> EntityText:
    """Read the whole statements within the first `at_most` characters of `text`.

    With a `tier`, only those that name something of it or above, denied or not.
    """
    lexicon = lexicon or load_lexicon()
    read = label_sentences(text[:at_most])
    complete = read[:-1] if len(text) > at_most else read
    whole = [piece for s in complete for piece in _cut(text, _join_heading(text, s))]
    if tier:
        whole = [s for s in whole if _names(text[s.start : s.end], tier, lexicon)]
    measures = read_measures(text[: whole[-1].end]) if whole else []
    starts = [m.start for m in measures]
    labels: dict[str, Label] = {}
    statements: list[Statement] = []
    for number, sentence in enumerate(whole):
        label = labels.get(sentence.label) or labels.setdefault(sentence.label, read_label(sentence.label, lexicon))
        phrasing = read_phrasing(text, sentence)
        inside = measures[bisect_left(starts, sentence.start) : bisect_left(starts, sentence.end)]
        told = tell(phrasing, lexicon, label, inside, number)
        if text.find("?", max(0, sentence.start - 2), sentence.end) >= 0:
            told = replace(told, entities=tuple(_doubt_asked(e, text, sentence) for e in told.entities))
        statements.append(Statement(phrasing=phrasing, label_stems=label.stems, told=told))
    return EntityText(
        text=text[:at_most],
        statements=tuple(statements),
        measures=tuple(measures),
        entities=tuple(entity for s in statements for entity in s.told.entities),
        stems=frozenset[str]().union(*(s.phrasing.stems for s in statements), *(s.label_stems for s in statements)),
    )


def _names(statement: str, tier: int, lexicon: Lexicon) -> bool:
    stems = [stem(word) for word in read_words(statement)]
    return any(concept and concept.tier >= tier for _, _, concept in lexicon.concepts.find(stems))


def _doubt_asked(entity: Entity, text: str, sentence: Sentence) -> Entity:
    """The mention, possible at most where a question mark stands before or after what it belongs to."""
    is_asked = _ASKED_FIRST.search(text, max(0, sentence.start - 2), entity.start) or _ASKED_LAST.match(
        text, entity.end, sentence.end
    )
    return replace(entity, certainty=min(entity.certainty, Certainty.POSSIBLE)) if is_asked else entity


def _join_heading(text: str, sentence: Sentence) -> Sentence:
    """The statement with its heading, where it only answers that: `Effusion: none`."""
    if (
        not sentence.label
        or len(sentence.text) > _LONGEST_ANSWER
        or not load_cues().answers >= {*read_words(sentence.text)}
    ):
        return sentence
    start = text.rfind(sentence.label, max(0, sentence.start - len(sentence.label) - _LONGEST_ANSWER), sentence.start)
    is_next = start >= 0 and not read_words(text[start + len(sentence.label) : sentence.start])
    return replace(sentence, start=start) if is_next else sentence


def _cut(text: str, sentence: Sentence) -> Iterator[Sentence]:
    """The statement, or an endless one in pieces, so that reading takes time in proportion to length."""
    start = sentence.start
    while sentence.end - start > _LONGEST:
        end = text.rfind(" ", start + 1, start + _LONGEST)
        end = end if end > 0 else start + _LONGEST
        yield replace(sentence, text=text[start:end], start=start, end=end)
        start = end
    yield replace(sentence, start=start) if start > sentence.start else sentence
