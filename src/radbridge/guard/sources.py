"""What a draft is held to: its findings, and beside them the clinical information and the comparison."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from radbridge.draft import Flag, FlagKind, Section, Severity, Span
from radbridge.entities import Certainty, Concept, Entity, EntityText, Trend
from radbridge.guard.likeness import Likeness
from radbridge.guard.style import load_style
from radbridge.text import FUNCTION_WORDS, read_words, stem

_CALLED_KNOWN = re.compile(r"\bknown\b[^.;:\n]{0,30}$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mention:
    """An entity of one of the sources."""

    section: Section
    entity: Entity

    @property
    def span(self) -> Span:
        """Where it stands."""
        return Span(section=self.section, start=self.entity.start, end=self.entity.end)


class Sources:
    """The texts that a draft is held to, and what they mention, found by what it would support."""

    def __init__(self, findings: EntityText, indication: EntityText, comparison: EntityText) -> None:
        self.findings = findings
        self.texts = {Section.FINDINGS: findings, Section.INDICATION: indication, Section.COMPARISON: comparison}
        self._told_stems = findings.stems | comparison.stems
        self._stems = self._told_stems | _read_known(indication)
        self._supporting: dict[str, list[Mention]] = defaultdict(list)
        for section, text in self.texts.items():
            for entity in text.entities:
                mention = Mention(section=section, entity=entity)
                for name in supported_by(entity.concept):
                    self._supporting[name].append(mention)

    @cached_property
    def likeness(self) -> Likeness:
        """The statements of every source, found by their words."""
        return Likeness(s for t in self.texts.values() for s in t.statements)

    @cached_property
    def sides(self) -> frozenset[str]:
        """Every side that any source names."""
        return frozenset[str]().union(*(s.told.place.sides for t in self.texts.values() for s in t.statements))

    def supporting(self, concept: Concept) -> list[Mention]:
        """The mentions, denied ones too, that let a draft speak of `concept`: of itself, a kind or a sign of it."""
        return self.supporting_name(concept.name)

    def supporting_name(self, name: str) -> list[Mention]:
        """The same of a concept's name."""
        return self._supporting.get(name, [])

    def same(self, concept: Concept) -> list[Mention]:
        """The mentions of the very concept, or of a kind of it, in the findings."""
        found = self._supporting.get(concept.name, [])
        return [m for m in found if m.section is Section.FINDINGS and is_same(m.entity.concept, concept)]

    def named(self, names: Container[str]) -> list[Mention]:
        """The mentions in the findings of concepts with these names."""
        return [Mention(section=Section.FINDINGS, entity=e) for e in self.findings.entities if e.concept.name in names]

    def akin(self, concept: Concept) -> list[Mention]:
        """The mentions in the findings of what the concept is a kind of, and of other kinds of the same."""
        return [
            Mention(section=Section.FINDINGS, entity=e)
            for e in self.findings.entities
            if e.concept.name in concept.broader or (concept.broader and e.concept.broader == concept.broader)
        ]

    def denying(self, concept: Concept) -> list[Mention]:
        """The mentions in the findings that deny the concept, or what it is a kind of."""
        found = self.named({concept.name, *concept.broader})
        return [m for m in found if m.entity.certainty is Certainty.DENIED]

    def hold_words(self, text: str) -> bool:
        """Whether every word of `text` that carries content stands in the sources, other than in what is asked."""
        return all(stem(w) in self._stems for w in read_words(text) if w not in FUNCTION_WORDS)

    def tell_words(self, text: str) -> bool:
        """Whether the findings and the comparison hold them without the clinical information."""
        return all(stem(w) in self._told_stems for w in read_words(text) if w not in FUNCTION_WORDS)

    def hold_parts(self, text: str) -> bool:
        """Whether one statement of the findings affirms all that the only word of `text` is made of.

        `The heart remains slightly large` does of `cardiomegaly`.
        """
        words = read_words(text)
        groups = load_style().compounds.get(stem(words[0]), ()) if len(words) == 1 else ()
        if not groups:
            return False
        said = (s.label_stems | s.phrasing.affirmed_stems for s in self.findings.statements)
        return any(all(not stems.isdisjoint(group) for group in groups) for stems in said)


def is_known(entity: Entity, text: EntityText) -> bool:
    """Whether `text` tells it as there before: with a trend, or as `known`."""
    return bool(entity.trends) or _CALLED_KNOWN.search(text.text, 0, entity.start) is not None


def is_asked(mention: Mention) -> bool:
    """Whether it is no more than what the study is to find out: `rule out embolism`."""
    is_open = mention.entity.certainty < Certainty.DEFINITE and Trend.PAST not in mention.entity.trends
    return mention.section is Section.INDICATION and is_open


def _read_known(indication: EntityText) -> frozenset[str]:
    """The stems of the clinical information without those of what it asks about."""
    asked = [(e.start, e.end) for e in indication.entities if e.certainty < Certainty.DEFINITE]
    if not asked:
        return indication.stems
    return frozenset(
        root
        for s in indication.statements
        for root, (start, _) in zip(s.phrasing.stems, s.phrasing.places, strict=True)
        if not any(a <= start < b for a, b in asked)
    )


def supported_by(concept: Concept) -> Iterator[str]:
    """The names of what a draft may say when the findings say `concept`."""
    yield concept.name
    yield from concept.broader
    yield from concept.reads_as


def is_same(told: Concept, concept: Concept) -> bool:
    """Whether what is told is the very concept, or a kind of it."""
    return told.name == concept.name or concept.name in told.broader


def kind_of(concept: Concept, kind: FlagKind) -> FlagKind:
    """What contradicts a tube or line is told as such."""
    return FlagKind.DEVICE if concept.is_device else kind


def flag(
    kind: FlagKind, severity: Severity, message: str, said: Iterable[tuple[int, int]], told: Iterable[Span] = ()
) -> Flag:
    """A flag about the characters `said` of the draft, held to `told`."""
    spans = (Span(section=Section.DRAFT, start=start, end=end) for start, end in dict.fromkeys(said))
    return Flag(kind=kind, message=message, severity=severity, spans=(*spans, *told))
