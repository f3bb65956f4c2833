"""What a statement says of each thing it mentions: where, how sure, how large, how many, since when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from radbridge.entities.cues import load_cues
from radbridge.entities.entity import Certainty, Entity, Place, Trend
from radbridge.entities.lexicon import Concept, Lexicon, Site
from radbridge.entities.measures import Measure
from radbridge.entities.near import Near
from radbridge.entities.phrasing import Label, Phrasing, find_places

_OWN_DENIAL = frozenset(("no", "absent", "absence", "lack", "not"))
"""A finding that is named by what is missing (`no flow`) isn't denied by that word."""
_REACH_BACK = 8
_REACH_AHEAD = 5
_EITHER_REACH = 1
_PAST_REACH = 4
_HIGHEST_COUNT = 20
_NUMBERED = frozenset("level grade segment type stage zone series image category rads score class phase number".split())
"""A number after these is a name."""
_FORMERLY = frozenset(("previously", "formerly"))
_SAME_SIZE = 0.2
"""A share by which two sizes may differ and still be called the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What one statement tells: its entities in order, and every place, trend and number that it names."""

    entities: tuple[Entity, ...]
    place: Place
    sites: tuple[tuple[int, int, Site], ...]
    """Each with the range of its words, as the trends and the counts."""
    changes: tuple[tuple[int, int, Trend], ...]
    counts: tuple[tuple[int, int, int], ...]
    trends: frozenset[Trend]


@dataclass(slots=True)
class _Mention:
    """What is gathered of one mention, at words `at`."""

    concept: Concept
    at: tuple[int, int]
    certainty: Certainty = Certainty.DEFINITE
    place: Place = field(default_factory=Place)
    is_placed: bool = False
    """Whether a site is told of it outside its own words."""
    measures: list[Measure] = field(default_factory=list)
    severity: int | None = None
    count: int | None = None
    trends: set[Trend] = field(default_factory=set)
    more: bool = False
    sided_at: list[tuple[int, int]] = field(default_factory=list)


def tell(phrasing: Phrasing, lexicon: Lexicon, label: Label, measures: Sequence[Measure], statement: int) -> Told:
    """Read one statement. `label` is the heading it stands under."""
    return _Teller(phrasing, lexicon, label).tell(measures, statement)


class _Teller:
    """Gathers, cue by cue, what is said of the mentions of one statement."""

    def __init__(self, phrasing: Phrasing, lexicon: Lexicon, label: Label) -> None:
        self._cues = load_cues()
        self._phrasing = phrasing
        self._label = label.place
        self._is_past = label.is_past
        self._places = list(find_places(phrasing.words, phrasing.stems, lexicon))
        self._trends = [
            (a, b, trend if phrasing.denial.unchanged.isdisjoint(range(a, b)) else Trend.STABLE)
            for a, b, trend in self._cues.trends.find(phrasing.words)
            if trend
        ]
        changing = {i for a, b, _ in self._trends for i in range(a, b)}  # `enlarging` is a trend, and no enlargement
        found = lexicon.concepts.find(phrasing.stems)
        self._mentions = [_Mention(concept=c, at=(a, b)) for a, b, c in found if c and changing.isdisjoint(range(a, b))]
        self._ranges = [m.at for m in self._mentions]
        first = self._ranges[0][0] if self._ranges else 0  # `At C4-C5 there is a cyst` is one clause
        clauses = [start for start, _, _ in self._cues.clause.find(phrasing.words) if start > first]
        self._near = Near(phrasing.words, phrasing.commas, [*phrasing.breaks, *clauses])

    def tell(self, measures: Sequence[Measure], statement: int) -> Told:
        self._counts = self._read_counts(measures)
        self._trends += self._read_growth(measures)
        if self._mentions:
            self._tell_trends()
            self._tell_past()
            self._tell_certainty()
            self._tell_measures(measures)
            self._tell_degree()
        around = self._tell_places()
        everywhere = Place.join((self._label, *around.values()))
        return Told(
            entities=tuple(self._build(m, around, everywhere, statement) for m in self._mentions),
            place=everywhere,
            sites=tuple((a, b, site) for (a, b), own in self._places for site in own.sites),
            changes=tuple(self._trends),
            counts=tuple(self._counts),
            trends=frozenset(trend for _, _, trend in self._trends),
        )

    def _build(self, told: _Mention, around: dict[int, Place], everywhere: Place, statement: int) -> Entity:
        first, last = told.at
        beside = around.get(self._near.clause(first), everywhere)
        sites = told.place.sites if told.is_placed else told.place.sites | self._label.sites
        place = Place(sides=told.place.sides or self._label.sides, sites=sites)
        return Entity(
            concept=told.concept,
            start=self._phrasing.places[first][0],
            end=self._phrasing.places[last - 1][1],
            statement=statement,
            certainty=told.certainty,
            place=place,
            around=Place.join((beside, place, self._label)),
            measures=tuple(told.measures),
            severity=told.severity,
            count=told.count,
            trends=frozenset(told.trends),
            more=told.more,
            sided_at=tuple(told.sided_at),
        )

    def _nearest(self, start: int, end: int) -> _Mention | None:
        i = self._near.nearest((start, end), self._ranges)
        return None if i is None else self._mentions[i]

    def _next(self, end: int, reach: int = _REACH_AHEAD) -> _Mention | None:
        """The first mention that begins soon after word `end`, in the same clause."""
        mention = next((m for m in self._mentions if m.at[0] >= end), None)
        if mention is None or self._near.clause(mention.at[0]) != self._near.clause(max(0, end - 1)):
            return None
        return mention if self._near.distance((end, end), mention.at) <= reach else None

    def _before(self, start: int, reach: int) -> list[_Mention]:
        """The mentions in the same clause that end soon before word `start`."""
        return [
            m
            for m in self._mentions
            if m.at[1] <= start
            and self._near.clause(m.at[0]) == self._near.clause(start)
            and self._near.distance(m.at, (start, start)) <= reach
        ]

    def _tell_places(self) -> dict[int, Place]:
        """The places of each clause; each is also its nearest mention's."""
        around: dict[int, Place] = defaultdict(Place)
        for (start, end), place in self._places:
            around[self._near.clause(start)] |= place
            if mention := self._nearest(start, end):
                mention.place |= place
                mention.is_placed |= bool(place.sites) and not mention.at[0] <= start < mention.at[1]
                if place.sides:
                    mention.sided_at.append(self._phrasing.places[start])
        return dict(around)

    def _tell_trends(self) -> None:
        for start, end, trend in self._trends:
            if mention := self._nearest(start, end):
                mention.trends.add(trend)

    def _tell_past(self) -> None:
        past = list(self._mentions) if self._is_past else []
        for start, end, real in self._cues.past_before.find(self._phrasing.words):
            if real and (named := next((m for m in self._mentions if m.at[0] <= start < m.at[1]), None)):
                past.append(named)
            elif real and (following := self._next(end, _PAST_REACH)):
                past.append(following)
        for start, _, _ in self._cues.past_after.find(self._phrasing.words):
            past += self._before(start, _PAST_REACH)
        for mention in past:
            mention.trends.add(Trend.PAST)

    def _tell_certainty(self) -> None:
        self._tell_doubt()
        words, denied = self._phrasing.words, self._phrasing.denial.words
        for mention in self._mentions:
            first, last = mention.at
            is_denied = last - 1 in denied and _OWN_DENIAL.isdisjoint(words[first:last])
            if is_denied or Trend.RESOLVED in mention.trends:
                mention.certainty = Certainty.DENIED

    def _tell_doubt(self) -> None:
        words = self._phrasing.words
        for start, end, certainty in self._cues.doubt_before.find(words):
            for mention in self._mentions:
                if mention.at[0] >= end and self._near.clause(mention.at[0]) == self._near.clause(start):
                    mention.certainty = min(mention.certainty, certainty)
        for start, end, certainty in self._cues.doubt_after.find(words):
            for mention in self._before(start, _REACH_BACK) if self._closes(end) else ():
                mention.certainty = min(mention.certainty, certainty)
        for start, _, real in self._cues.either.find(words):
            for mention in self._before(start, _EITHER_REACH) if real else ():
                mention.certainty = min(mention.certainty, Certainty.POSSIBLE)

    def _closes(self, end: int) -> bool:
        """Whether no mention follows in the clause that ends before word `end`: `effusion with suspected pneumonia`."""
        clause = self._near.clause(end - 1)
        return all(m.at[0] < end or self._near.clause(m.at[0]) != clause for m in self._mentions)

    def _tell_measures(self, measures: Sequence[Measure]) -> None:
        for measure in measures:
            words = [i for i, (a, b) in enumerate(self._phrasing.places) if a < measure.end and b > measure.start]
            if words and (mention := self._nearest(words[0], words[-1] + 1)):
                mention.measures.append(measure)

    def _tell_degree(self) -> None:
        words = self._phrasing.words
        for _, end, grade in self._cues.severity.find(words):
            if mention := self._next(end):
                mention.severity = grade
        for _, end, _ in self._cues.more.find(words):
            if mention := self._next(end):
                mention.more = True
        for _, end, count in self._counts:
            if mention := self._next(end):
                mention.count = count

    def _read_counts(self, measures: Sequence[Measure]) -> list[tuple[int, int, int]]:
        """Every number of things, in words or in digits. What measures or names (`grade 2`) is none."""
        words, places = self._phrasing.words, self._phrasing.places
        digits = (
            (i, i + 1, int(w))
            for i, w in enumerate(words)
            if w.isdecimal()
            and 1 < int(w) <= _HIGHEST_COUNT
            and not any(m.start <= places[i][0] < m.end for m in measures)
            and not (i and words[i - 1] in _NUMBERED)
            and words[i + 1 : i + 2] != ["th"]  # `the 5th rib`
        )
        return [*self._cues.count.find(words), *digits]

    def _read_growth(self, measures: Sequence[Measure]) -> Iterator[tuple[int, int, Trend]]:
        """What `12 mm, previously 8 mm` says: of the size before, and the one that is told just before that."""
        words, places = self._phrasing.words, self._phrasing.places
        for at in (i for i, word in enumerate(words) if word in _FORMERLY and measures):
            earlier = [m for m in measures if m.end <= places[at][0]]
            later = [m for m in measures if m.start >= places[at][1]]
            if earlier and later and earlier[-1].quantity == later[0].quantity == "length":
                now = max(m.value for m in earlier if m.start == earlier[-1].start)
                before = max(m.value for m in later if m.start == later[0].start)
                if abs(now - before) > _SAME_SIZE * before:
                    yield at, at + 1, Trend.WORSE if now > before else Trend.BETTER
