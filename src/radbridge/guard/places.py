"""Laterality and site: a place in the draft must be where the sources put the same thing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from radbridge.draft import Flag, FlagKind, Severity
from radbridge.entities import Entity, EntityText, Place, Site
from radbridge.guard.sources import Mention, Sources, flag, kind_of

_PLACED = frozenset(("lobe", "segment", "level"))
"""Kinds of site that no draft names unless the findings do."""


def is_compatible(one: Place, other: Place) -> bool:
    """Whether two places may be one: no side and no site contradicts."""
    if one.sides and other.sides and one.sides.isdisjoint(other.sides):
        return False
    return all(_find_conflict(site, other.sites) is None for site in one.sites)


def is_within(one: Place, other: Place) -> bool:
    """Whether a site of one is at, in or around a site of the other."""
    return any(_is_near(site, other.sites) for site in one.sites)


def check_places(draft: EntityText, sources: Sources) -> Iterator[Flag]:
    """One flag for each thing that the draft puts on another side or at another site than the sources do."""
    everywhere = {site for t in sources.texts.values() for s in t.statements for site in s.told.place.sites}
    for entity in draft.entities:
        told = sources.supporting(entity.concept)
        yield from _check_side(entity, told)
        yield from _check_sites(entity, told, everywhere)


def _check_side(entity: Entity, told: Sequence[Mention]) -> Iterator[Flag]:
    sided = [(m, sides) for m in told if (sides := m.entity.place.sides or m.entity.around.sides)]
    if sided and not entity.place.sides <= frozenset[str]().union(*(sides for _, sides in sided)):
        side = " and ".join(sorted({"L": "left", "R": "right"}[s] for s in entity.place.sides))
        yield flag(
            FlagKind.LATERALITY,
            Severity.CRITICAL,
            f"the findings don't put {entity.concept.plain} on the {side}",
            [*entity.sided_at, (entity.start, entity.end)],
            [m.span for m, _ in sided[:1]],
        )


def _check_sites(entity: Entity, told: Sequence[Mention], everywhere: set[Site]) -> Iterator[Flag]:
    placed = [(m, sites) for m in told if (sites := m.entity.place.sites or m.entity.around.sites)]
    known = frozenset[Site]().union(*(sites for _, sites in placed))
    for site in sorted(entity.place.sites, key=lambda s: s.name):
        other = _find_conflict(site, known)
        if other is None and not (told and site.kind in _PLACED and not _is_near(site, everywhere)):
            continue
        message = (
            f"the findings put {entity.concept.plain} at {other.plain}, not at {site.plain}"
            if other
            else (f"the findings don't name {site.plain}")
        )
        yield flag(
            kind_of(entity.concept, FlagKind.SITE),
            Severity.CRITICAL if other else Severity.WARNING,
            message,
            [(entity.start, entity.end)],
            [m.span for m, _ in placed[:1]],
        )


def _find_conflict(site: Site, known: Iterable[Site]) -> Site | None:
    """A site of the same kind that contradicts `site`; None when one agrees with it, or none is of its kind."""
    known = tuple(known)
    alike = [k for k in known if k.kind == site.kind]
    if _is_near(site, alike) or any(site.name in k.within for k in known):
        return None
    return min(alike, key=lambda k: k.name, default=None)


def _is_near(site: Site, known: Iterable[Site]) -> bool:
    return any(site == k or site.name in k.within or k.name in site.within for k in known)
