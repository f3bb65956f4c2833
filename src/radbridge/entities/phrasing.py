"""The words of one statement, and what stands between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from radbridge.entities.entity import Place
from radbridge.entities.lexicon import Lexicon, Site
from radbridge.text import Sentence, locate_words, read_words, stem
from radbridge.text.scopes import Denial, read_denial

SIDES = {
    **dict.fromkeys(("left", "lt", "leftward", "leftsided", "levoscoliosis", "levoconvex"), frozenset("L")),
    **dict.fromkeys(("right", "rt", "rightward", "rightsided", "dextroscoliosis", "dextroconvex"), frozenset("R")),
    **dict.fromkeys(("bilateral", "bilaterally", "both", "bibasilar", "bibasal", "biapical", "bilat"), frozenset("LR")),
}
_JOINS = frozenset(("and", "or", "to", "through"))
_LONGEST_ITEM = 2
_UNITS = frozenset(("mm", "cm", "x", "by"))
_PAST = frozenset(("prior", "previous", "history"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrasing:
    """One statement as words."""

    words: list[str]
    stems: list[str]
    places: list[tuple[int, int]]
    """The characters of each word in the text."""
    commas: list[int]
    """Words before which a comma stands."""
    breaks: list[int]
    """Words before which a semicolon stands."""
    denial: Denial

    @property
    def affirmed_stems(self) -> frozenset[str]:
        """The stems of the words that stand in no denial."""
        return frozenset(root for at, root in enumerate(self.stems) if at not in self.denial.words)


def read_phrasing(text: str, sentence: Sentence) -> Phrasing:
    """The words of one statement of `text`."""
    raw = text[sentence.start : sentence.end]
    words, inside = locate_words(raw)
    commas, breaks = (_find_before(mark, raw, inside) for mark in ",;")
    return Phrasing(
        words=words,
        stems=[stem(w) for w in words],
        places=[(sentence.start + a, sentence.start + b) for a, b in inside],
        commas=commas,
        breaks=breaks,
        denial=read_denial(words, commas, breaks),
    )


def _find_before(mark: str, raw: str, inside: list[tuple[int, int]]) -> list[int]:
    """The words between which and the word before `mark` stands."""
    if mark not in raw:
        return []
    return [i for i, ((_, end), (start, _)) in enumerate(pairwise(inside), 1) if mark in raw[end:start]]


def find_places(words: Sequence[str], stems: list[str], lexicon: Lexicon) -> Iterator[tuple[tuple[int, int], Place]]:
    """Each side and site that is named, with the range of its words."""
    for at, word in enumerate(words):
        if word in SIDES:
            yield (at, at + 1), Place(sides=SIDES[word])
    for start, end, site in lexicon.sites.find(stems):
        yield (start, end), _place(site)
        if end - start == 1:
            continue
        if start and words[start - 1] in _JOINS:
            yield from _find_joined_before(words, stems, (start, end), lexicon)
        if end < len(words) and (words[end] in _JOINS or words[end].isdecimal()):
            yield from _find_joined_after(words, stems, (start, end), lexicon)


def _find_joined_before(
    words: Sequence[str], stems: list[str], term: tuple[int, int], lexicon: Lexicon
) -> Iterator[tuple[tuple[int, int], Place]]:
    """What shares the noun of the site at `term` and stands before it: `upper` in `upper and lower lobes`."""
    at, end = term
    heads = [tuple(stems[first:end]) for first in range(at + 1, end)]
    while at:
        to = at - (words[at - 1] in _JOINS)
        found = (
            (first, site)
            for first in range(max(0, to - _LONGEST_ITEM), to)
            for head in heads
            if (site := lexicon.sites.get((*stems[first:to], *head)))
        )
        if not (item := next(found, None)):
            return
        at, site = item
        yield (at, to), _place(site)


def _find_joined_after(
    words: Sequence[str], stems: list[str], term: tuple[int, int], lexicon: Lexicon
) -> Iterator[tuple[tuple[int, int], Place]]:
    """What shares the noun of the site at `term` and stands behind it: `7` in `segments 2 and 7`."""
    start, at = term
    head = tuple(stems[start : at - 1])
    while at < len(words):
        at += words[at] in _JOINS
        if at >= len(words) or not words[at].isdecimal() or not _UNITS.isdisjoint(words[at + 1 : at + 2]):
            return
        if not (site := lexicon.sites.get((*head, stems[at]))):
            return
        yield (at, at + 1), _place(site)
        at += 1


def _place(site: Site) -> Place:
    return Place(sites=frozenset((site,)), sides=frozenset(site.side))


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """What a heading names."""

    place: Place
    stems: frozenset[str]
    is_past: bool
    """Whether what stands under it was once: `Prior:`, `History:`."""


def read_label(text: str, lexicon: Lexicon) -> Label:
    """Every side and site that a heading names, and its words' stems."""
    words = read_words(text)
    stems = [stem(w) for w in words]
    return Label(
        place=Place.join(place for _, place in find_places(words, stems, lexicon)),
        stems=frozenset(stems),
        is_past=not _PAST.isdisjoint(words),
    )
