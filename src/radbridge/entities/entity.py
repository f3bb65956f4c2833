"""What a report says is there, is not there, or may be: one entity for each mention of a finding or a device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import reduce
from operator import or_

from radbridge.entities.lexicon import Concept, Site
from radbridge.entities.measures import Measure

MANY = 0
"""The count of what is told to be several, without a number."""


class Certainty(IntEnum):
    """How sure the text is of what it mentions."""

    DENIED = 0
    POSSIBLE = 1
    LIKELY = 2
    DEFINITE = 3


class Trend(StrEnum):
    """How it is beside an earlier study."""

    NEW = "new"
    KNOWN = "known"
    """There before, whatever became of it: `again seen`, `persistent`."""
    STABLE = "stable"
    BETTER = "better"
    WORSE = "worse"
    RESOLVED = "resolved"
    PAST = "past"
    """Told of the patient's history, or healed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where something is: sides (`L`, `R`), sites and spinal levels, each possibly empty."""

    sides: frozenset[str] = frozenset()
    sites: frozenset[Site] = frozenset()

    def __or__(self, other: Place) -> Place:
        if not other:
            return self
        return Place(sides=self.sides | other.sides, sites=self.sites | other.sites) if self else other

    def __bool__(self) -> bool:
        return bool(self.sides or self.sites)

    @staticmethod
    def join(places: Iterable[Place]) -> Place:
        """All of them in one."""
        return reduce(or_, places, _NOWHERE)


_NOWHERE = Place()


@dataclass(frozen=True, kw_only=True, slots=True)
class Entity:
    """One mention. `start` and `end` are characters of the text that was read."""

    concept: Concept
    start: int
    end: int
    statement: int
    """Index of its statement in the text."""
    certainty: Certainty = Certainty.DEFINITE
    place: Place = _NOWHERE
    """What is said of it itself."""
    around: Place = _NOWHERE
    """What its clause or its heading says; at least `place`. For a reader who allows for more."""
    measures: tuple[Measure, ...] = field(default=(), repr=False)
    severity: int | None = None
    """1 mild, 2 moderate, 3 severe."""
    count: int | None = None
    """How many, or MANY."""
    trends: frozenset[Trend] = frozenset()
    more: bool = False
    """Whether it is told of others than those known: `no new`, `no other`, `a second`."""
    sided_at: tuple[tuple[int, int], ...] = ()
    """The characters of the words that give it its sides."""

    @property
    def present(self) -> bool:
        """Whether the text takes it to be there now, be it only possibly."""
        return self.certainty > Certainty.DENIED and Trend.PAST not in self.trends
