"""The words for findings, devices and sites, read once from `lexicon/*.toml` and from a site's own files.

A finding's or device's terms are synonyms. `broader` is what it is a kind of, `reads_as` what an impression may
conclude from it, `within` the anatomy that contains a site, `misplaced_at` where a device may not end. Terms are
matched on stems.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from radbridge.entities.tables import read_tables, read_term
from radbridge.text.phrases import Phrase, PhraseTable

TIERS = {"critical": 3, "major": 2, "minor": 1, "expected": 0}
CRITICAL, MAJOR, MINOR, EXPECTED = 3, 2, 1, 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Concept:
    """A finding or a device, whatever its synonym."""

    name: str
    tier: int = field(compare=False)
    is_device: bool = field(default=False, compare=False)
    broader: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """Every concept of which it is a kind, however remote."""
    reads_as: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    misplaced_at: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """Sites where a device of this kind has no business."""

    @property
    def plain(self) -> str:
        """Its name as words."""
        return self.name.replace("_", " ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A place in the body."""

    name: str
    kind: str = field(compare=False)
    side: str = field(default="", compare=False)
    """`L` or `R` where the name itself says it."""
    sided: bool = field(default=False, compare=False)
    """Whether there is a left and a right one."""
    within: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """Every site that contains it, however remote."""

    @property
    def plain(self) -> str:
        """Its name as words."""
        return self.name.replace("_", " ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lexicon:
    """All that is known by name."""

    concepts: PhraseTable[Concept | None]
    """None: it looks like a finding and is none (`standard deviation`)."""
    sites: PhraseTable[Site]
    sex: Mapping[str, PhraseTable[str]]
    """`F` and `M`: terms that hold of one sex only; the empty one looks like it and does not."""
    ages: PhraseTable[tuple[int, int]]
    """Terms that hold within a range of ages, in years."""


@cache
def load_lexicon(*own: Path) -> Lexicon:
    """The packaged lexicon with the entries of a site's own files. Raises ConfigError with every fault of the files."""
    tables = read_tables(own)
    above = _Closure({k: v.get("broader", ()) for k, v in (tables["findings"] | tables["devices"]).items()})
    around = _Closure({k: v.get("within", ()) for k, v in tables["sites"].items()})
    wrong = {name: entry.get("misplaced_at", ()) for name, entry in tables["devices"].items()}
    concepts: list[tuple[Phrase, Concept | None]] = [
        (term, _concept(name, entry, above, wrong, is_device=kind == "devices"))
        for kind in ("findings", "devices")
        for name, entry in tables[kind].items()
        for term in _terms(entry)
    ]
    concepts += ((term, None) for entry in tables["no_findings"].values() for term in _terms(entry))
    return Lexicon(
        concepts=PhraseTable(concepts),
        sites=PhraseTable((term, _site(n, e, around)) for n, e in tables["sites"].items() for term in _terms(e)),
        sex={
            letter: PhraseTable(
                (term, " ".join(term) if said else "")
                for said, key in ((True, sex), (False, "neither"))
                for term in _terms(tables["sex"][key])
            )
            for letter, sex in (("F", "female"), ("M", "male"))
        },
        ages=PhraseTable(
            (term, (entry["range"][0], entry["range"][1]))
            for entry in tables["ages"].values()
            for term in _terms(entry)
        ),
    )


def _concept(
    name: str, entry: Mapping[str, Any], above: _Closure, wrong: Mapping[str, Iterable[str]], *, is_device: bool
) -> Concept:
    broader = above.of(name)
    return Concept(
        name=name,
        tier=TIERS[entry.get("tier", "minor")],
        is_device=is_device,
        broader=broader,
        reads_as=frozenset(entry.get("reads_as", ())),
        misplaced_at=frozenset(site for kind in (name, *broader) for site in wrong.get(kind, ())),
    )


def _site(name: str, entry: Mapping[str, Any], around: _Closure) -> Site:
    return Site(
        name=name,
        kind=entry["kind"],
        side=entry.get("side", "")[:1].upper(),
        sided=entry.get("sided", False),
        within=around.of(name),
    )


def _terms(entry: Mapping[str, Any]) -> Iterator[Phrase]:
    yield from dict.fromkeys(map(read_term, entry["terms"]))


class _Closure:
    """Everything that an entry's links lead to."""

    def __init__(self, links: Mapping[str, Iterable[str]]) -> None:
        self._links = links

    def of(self, name: str) -> frozenset[str]:
        found: set[str] = set()
        open_ = list(self._links.get(name, ()))
        while open_:
            if (next_ := open_.pop()) not in found:
                found.add(next_)
                open_ += self._links.get(next_, ())
        return frozenset(found)
