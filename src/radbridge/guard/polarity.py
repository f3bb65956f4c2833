"""Present in one text and absent in the other; possible in the findings and definite in the draft."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from radbridge.draft import Flag, FlagKind, Section, Severity, Span
from radbridge.entities import MINOR, Certainty, Entity, EntityText, Trend
from radbridge.guard.critical import is_critical
from radbridge.guard.sites import is_compatible, is_within
from radbridge.guard.sources import Mention, Sources, flag, is_same, kind_of
from radbridge.guard.wider import find_wider
from radbridge.text import read_words, stem

_SURE = frozenset((Certainty.DENIED, Certainty.DEFINITE))
_GRAVE = 2
"""From moderate on: `no significant effusion` doesn't deny a trace of one."""


def check_polarity(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each concept that the draft affirms and the findings only deny, or the other way round.

    The synonyms of findings that are expected for age are too wide to contradict each other: these must share a word.
    """
    seen: set[tuple[str, bool]] = set()
    told = {kind: _names(e for e in sources.findings.entities if e.present is kind) for kind in (True, False)}
    for entity in draft.entities:
        key = entity.concept.name, entity.present
        names = told[not entity.present]
        if key in seen or Trend.PAST in entity.trends or names.isdisjoint((key[0], *entity.concept.broader)):
            continue
        said = draft.text[entity.start : entity.end]
        against = _find_denials(entity, sources) if entity.present else _find_affirmations(entity, said, sources)
        if entity.concept.tier < MINOR:
            against = [m for m in against if _share_word(said, sources.findings.text[m.entity.start : m.entity.end])]
        if against:
            seen.add(key)
            says, tell = ("affirms", "deny") if entity.present else ("denies", "affirm")
            yield flag(
                kind_of(entity.concept, FlagKind.NEGATION),
                Severity.CRITICAL if entity.certainty in _SURE else Severity.WARNING,
                f"the draft {says} {entity.concept.plain}, the findings {tell} it",
                [(entity.start, entity.end)],
                [m.span for m in against[:1]],
            )


def check_signs(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each diagnosis that the draft denies, while it passes over a critical sign of it.

    A finding that denies the diagnosis or another of its signs speaks for the draft.
    """
    said = {e.concept.name for e in draft.entities if e.present}
    seen: set[str] = set()
    for entity in draft.entities:
        name = entity.concept.name
        if entity.certainty > Certainty.DENIED or entity.more or name in seen:
            continue
        told = [m.entity for m in sources.supporting(entity.concept) if m.section is Section.FINDINGS]
        if any(is_same(t.concept, entity.concept) or t.certainty is Certainty.DENIED for t in told):
            continue
        signs = (t for t in told if t.present and t.certainty is Certainty.DEFINITE and is_critical(t))
        untold = (t for t in signs if t.concept.name not in said and is_compatible(entity.place, t.around))
        if sign := next(untold, None):
            seen.add(name)
            yield flag(
                FlagKind.NEGATION,
                Severity.CRITICAL,
                f"the draft denies {entity.concept.plain}, the findings affirm {sign.concept.plain}",
                [(entity.start, entity.end)],
                [Span(section=Section.FINDINGS, start=sign.start, end=sign.end)],
            )


def check_certainty(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each concept that is definite in the draft, and only possible or likely in the findings."""
    seen: set[str] = set()
    for entity in draft.entities:
        name = entity.concept.name
        if name in seen or not entity.present or entity.certainty < Certainty.DEFINITE:
            continue
        seen.add(name)
        told = [m for m in sources.same(entity.concept) if m.entity.present] or find_wider(entity, draft, sources)
        if told and all(m.entity.certainty < Certainty.DEFINITE for m in told):
            yield flag(
                FlagKind.CERTAINTY,
                Severity.WARNING,
                f"the draft states {entity.concept.plain}, the findings only consider it",
                [(entity.start, entity.end)],
                [m.span for m in told[:1]],
            )


def _names(entities: Iterable[Entity]) -> frozenset[str]:
    """The concepts of the entities, and what these are kinds of."""
    concepts = {e.concept for e in entities}
    return frozenset(c.name for c in concepts).union(*(c.broader for c in concepts))


def _share_word(one: str, other: str) -> bool:
    first, second = ({stem(w) for w in read_words(text)} for text in (one, other))
    return not first.isdisjoint(second)


def _is_more(entity: Entity, told: Entity) -> bool:
    """Whether what is denied are others than those known, `no new nodule`, and what is affirmed isn't such a one."""
    affirmed, denied = (entity, told) if entity.present else (told, entity)
    return denied.more and not affirmed.more


def _is_less(entity: Entity, told: Entity) -> bool:
    """Whether what is denied is a grave one, and what is affirmed isn't: `no large effusion` allows for a small one."""
    affirmed, denied = (entity, told) if entity.present else (told, entity)
    return (denied.severity or 0) >= _GRAVE > (affirmed.severity or 0)


def _find_denials(entity: Entity, sources: Sources) -> Sequence[Mention]:
    """What denies an entity that the draft affirms; nothing where the findings affirm it, or a sign of it."""
    same = [m for m in sources.same(entity.concept) if is_compatible(entity.place, m.entity.around)]
    if any(m.entity.present or Trend.PAST in m.entity.trends for m in same):
        return ()
    if denied := [m for m in same if not _is_more(entity, m.entity)]:
        return [m for m in denied if not _is_less(entity, m.entity)]
    if any(m.entity.present for m in sources.supporting(entity.concept)):
        return ()
    wider = [m for m in sources.named(entity.concept.broader) if is_compatible(entity.place, m.entity.around)]
    if any(m.entity.present for m in wider):
        return ()
    return [m for m in sources.denying(entity.concept) if not _is_more(entity, m.entity)]


def _find_affirmations(entity: Entity, said: str, sources: Sources) -> Sequence[Mention]:
    """What affirms an entity that the draft denies; nothing where the findings deny it there too."""
    same = sources.same(entity.concept)
    if any(_denies_there(m.entity, entity) for m in same):
        return ()
    if not same:
        named, told = sources.named(entity.concept.broader), sources.hold_words(said)
        same = [m for m in named if told or is_within(entity.place, m.entity.around)]
    return [
        m
        for m in same
        if m.entity.present
        and is_compatible(entity.place, m.entity.around)
        and not _is_more(entity, m.entity)
        and not _is_less(entity, m.entity)
    ]


def _denies_there(told: Entity, entity: Entity) -> bool:
    """Whether the findings deny it where the draft does, or without saying where."""
    if told.certainty is not Certainty.DENIED or told.concept != entity.concept:
        return False
    apart = entity.place.sites and told.around.sites and not is_within(entity.place, told.around)
    return not apart and is_compatible(entity.place, told.around)
