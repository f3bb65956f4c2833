"""Present in one text and absent in the other; possible in the findings and definite in the draft."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from radbridge.draft import Flag, FlagKind, Severity
from radbridge.entities import MINOR, Certainty, Entity, EntityText, Trend
from radbridge.guard.places import is_compatible, is_within
from radbridge.guard.sources import Mention, Sources, flag, kind_of

_SURE = frozenset((Certainty.DENIED, Certainty.DEFINITE))
_GRAVE = 2
"""From moderate on: `no significant effusion` doesn't deny a trace of one."""


def check_polarity(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each concept that the draft affirms and the findings only deny, or the other way round.

    Findings that are expected for age are passed over: their synonyms are too wide to contradict each other.
    """
    seen: set[tuple[str, bool]] = set()
    for entity in draft.entities:
        key = entity.concept.name, entity.present
        if entity.concept.tier < MINOR or key in seen or _is_open(entity):
            continue
        against = _find_denials(entity, sources) if entity.present else _find_affirmations(entity, draft.text, sources)
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


def check_certainty(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each concept that is definite in the draft, and only possible or likely in the findings."""
    seen: set[str] = set()
    for entity in draft.entities:
        name = entity.concept.name
        if name in seen or entity.concept.tier < MINOR or not entity.present or entity.certainty < Certainty.DEFINITE:
            continue
        told = [m for m in sources.same(entity.concept) if m.entity.present]
        if told and all(m.entity.certainty < Certainty.DEFINITE for m in told):
            seen.add(name)
            yield flag(
                FlagKind.CERTAINTY,
                Severity.WARNING,
                f"the draft states {entity.concept.plain}, the findings only consider it",
                [(entity.start, entity.end)],
                [m.span for m in told[:1]],
            )


def _is_open(entity: Entity) -> bool:
    """Whether it denies or affirms less than its concept: others than those known, or what was once."""
    return Trend.PAST in entity.trends or (entity.more and not entity.present)


def _find_denials(entity: Entity, sources: Sources) -> Sequence[Mention]:
    """What denies an entity that the draft affirms; nothing where the findings affirm it, or a sign of it."""
    same = [m for m in sources.same(entity.concept) if is_compatible(entity.place, m.entity.around)]
    if any(m.entity.present or Trend.PAST in m.entity.trends for m in same):
        return ()
    if denied := [m for m in same if not m.entity.more]:
        return denied
    if any(m.entity.present for m in sources.supporting(entity.concept)):
        return ()
    return [m for m in sources.denying(entity.concept) if not m.entity.more]


def _find_affirmations(entity: Entity, text: str, sources: Sources) -> Sequence[Mention]:
    """What affirms an entity that the draft denies; nothing where the findings deny it too."""
    same = sources.same(entity.concept)
    if any(m.entity.certainty is Certainty.DENIED and m.entity.concept == entity.concept for m in same):
        return ()
    if not same:
        named, told = sources.named(entity.concept.broader), sources.hold_words(text[entity.start : entity.end])
        same = [m for m in named if told or is_within(entity.place, m.entity.around)]
    return [
        m
        for m in same
        if m.entity.present
        and is_compatible(entity.place, m.entity.around)
        and not (entity.severity and entity.severity >= _GRAVE and (m.entity.severity or 0) < _GRAVE)
    ]
