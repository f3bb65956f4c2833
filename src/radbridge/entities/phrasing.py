"""The words of one statement, and what stands between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from radbridge.entities.entity import Place
from radbridge.entities.lexicon import Lexicon
from radbridge.text import Sentence, locate_words, read_words, stem
from radbridge.text.scopes import Denial, read_denial

SIDES = {
    **dict.fromkeys(("left", "lt", "leftward", "leftsided", "levoscoliosis", "levoconvex"), frozenset("L")),
    **dict.fromkeys(("right", "rt", "rightward", "rightsided", "dextroscoliosis", "dextroconvex"), frozenset("R")),
    **dict.fromkeys(("bilateral", "bilaterally", "both", "bibasilar", "bibasal", "biapical", "bilat"), frozenset("LR")),
}
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
        yield (start, end), Place(sites=frozenset((site,)), sides=frozenset(site.side))


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
