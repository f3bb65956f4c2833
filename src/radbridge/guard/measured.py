"""The dictated text against what machines measured, and against the side that was examined.

Here it is the findings that are held to something, and not the draft: the draft says what was dictated. A machine may
be wrong, so it is a warning. And it is never a source: what only a machine says is unsupported in a draft.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from radbridge.draft import Flag, FlagKind, Section, Severity, Span
from radbridge.entities import SIDES, Concept, Entity, EntityText, Lexicon, Measure, Place
from radbridge.guard.sites import is_compatible
from radbridge.guard.sources import flag, is_same
from radbridge.imaging import Measured, split_parts
from radbridge.text import read_words, stem

MAX_READ = 50
"""Lines of machines that are read, of those that can be compared."""
_SLACK_MM = 2.0
_SLACK = 0.2
"""Two readers of one lesion differ by so much, in mm or of its size, whichever is more."""
_MM = {"mm": 1.0, "cm": 10.0, "um": 0.001}
_SIDE_WORDS = {"L": "left", "R": "right"}
REGIONS = {
    "BREAST": "breast",
    **dict.fromkeys("SHOULDER HUMERUS ELBOW FOREARM WRIST HAND".split(), "upper_limb"),
    **dict.fromkeys("HIP FEMUR KNEE TIBIA ANKLE FOOT".split(), "lower_limb"),
}
"""Body parts of which a study shows one side -> the site whose sides a report of it tells."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lesion:
    """One thing that a machine found, in the guard's words."""

    source: str
    concept: Concept
    place: Place
    mm: float | None
    amount: str

    def is_like(self, entity: Entity) -> bool:
        return is_same(self.concept, entity.concept) or is_same(entity.concept, self.concept)


def check_measured(findings: EntityText, measured: Sequence[Measured], lexicon: Lexicon) -> Iterator[Flag]:
    """A flag for each size that no machine agrees with, and for each thing that machines find on the other side."""
    comparable = [m for m in measured if m.is_comparable][-MAX_READ:]
    lesions = [lesion for m in comparable if (lesion := _read_lesion(m, lexicon))]
    for entity in findings.entities if lesions else ():
        if entity.present and (like := [lesion for lesion in lesions if lesion.is_like(entity)]):
            turned = list(_check_side(entity, findings, like))
            yield from turned
            # one that was dictated on the wrong side is the same lesion for all that
            yield from _check_size(entity, [t for t in like if turned or is_compatible(entity.place, t.place)])


def _read_lesion(measured: Measured, lexicon: Lexicon) -> _Lesion | None:
    """None where the finding is none that the guard knows."""
    words = read_words(f"{measured.finding} {measured.site}")
    stems = [stem(word) for word in words]
    concept = next((c for _, _, c in lexicon.concepts.find(stems) if c), None)
    if concept is None:
        return None
    sites = frozenset(site for _, _, site in lexicon.sites.find(stems))
    named = (SIDES[word] for word in words if word in SIDES)
    sides = frozenset(measured.laterality.replace("B", "LR")).union(*named, *(s.side for s in sites))
    return _Lesion(
        source=measured.source,
        concept=concept,
        place=Place(sides=sides, sites=sites),
        mm=_read_mm(measured),
        amount=f"{measured.value} {measured.unit}",
    )


def _read_mm(measured: Measured) -> float | None:
    try:
        return float(measured.value) * _MM[measured.unit]
    except (KeyError, ValueError):
        return None


def _check_size(entity: Entity, lesions: Sequence[_Lesion]) -> Iterator[Flag]:
    dictated = [m for m in entity.measures if m.quantity == "length"]
    told = [(t, t.mm) for t in lesions if t.mm is not None]
    if not dictated or not told or any(_agrees(d, mm) for d in dictated for _, mm in told):
        return
    named = ", ".join(dict.fromkeys(f"{t.amount}; {t.source}" for t, _ in told[:3]))
    message = f"the dictated {dictated[0].text} is none of the measured ones ({named})"
    yield _flag(FlagKind.MEASUREMENT, message, [(dictated[0].start, dictated[0].end), (entity.start, entity.end)])


def _agrees(dictated: Measure, mm: float) -> bool:
    return abs(dictated.value - mm) <= max(_SLACK_MM, _SLACK * mm)


def _check_side(entity: Entity, findings: EntityText, lesions: Sequence[_Lesion]) -> Iterator[Flag]:
    """A flag where all that is like it was dictated on one side, and found on the other one."""
    alike = [e for e in findings.entities if e.present and any(lesion.is_like(e) for lesion in lesions)]
    dictated = frozenset[str]().union(*(e.place.sides for e in alike))
    found = frozenset[str]().union(*(lesion.place.sides for lesion in lesions))
    if entity.place.sides and len(dictated) == len(found) == 1 and dictated != found:
        message = f"dictated on the {_name(dictated)}, found on the {_name(found)} ({lesions[0].source})"
        yield _flag(FlagKind.LATERALITY, message, [*entity.sided_at, (entity.start, entity.end)])


def check_examined(findings: EntityText, side: str, body_part: str) -> Iterator[Flag]:
    """A flag where the findings tell of the other side only than the one that was examined, `L` or `R`."""
    regions = {REGIONS.get(part) for part in split_parts(body_part)}
    if side not in _SIDE_WORDS or len(regions) != 1 or None in regions:
        return
    about = [s for s in findings.statements if s.told.place.sides and _is_of(s.told.place, regions)]
    dictated = frozenset[str]().union(*(s.told.place.sides for s in about))
    if len(dictated) == 1 and dictated != {side}:
        message = (
            f"the findings tell of the {_name(dictated)}; the study is of the {_SIDE_WORDS[side]} {body_part.lower()}"
        )
        words = [(s, at) for s in about for at, word in enumerate(s.phrasing.words) if word in SIDES]
        spans = [s.phrasing.places[at] for s, at in words] or [s.phrasing.places[0] for s in about]
        yield _flag(FlagKind.LATERALITY, message, spans[:1])


def _is_of(place: Place, regions: set[str | None]) -> bool:
    """Whether it may be a place of the region; one without a site is of what was examined."""
    return not place.sites or any(not regions.isdisjoint((site.name, *site.within)) for site in place.sites)


def _name(sides: frozenset[str]) -> str:
    return " and ".join(_SIDE_WORDS[side] for side in sorted(sides))


def _flag(kind: FlagKind, message: str, told: Sequence[tuple[int, int]]) -> Flag:
    spans = [Span(section=Section.FINDINGS, start=start, end=end) for start, end in dict.fromkeys(told)]
    return flag(kind, Severity.WARNING, message, (), spans)
