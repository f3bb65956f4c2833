"""The words for findings, devices and sites, read once from `lexicon/*.toml` and from a site's own files.

A finding's or device's terms are synonyms. `broader` is what it is a kind of, `reads_as` what an impression may
conclude from it, `within` the anatomy that contains a site. Terms are matched on stems.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Required

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from radbridge.errors import ConfigError
from radbridge.text import read_words, stem
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

    concepts: PhraseTable[Concept]
    sites: PhraseTable[Site]
    sex: Mapping[str, PhraseTable[str]]
    """`F` and `M`: terms that hold of one sex only."""
    ages: PhraseTable[tuple[int, int]]
    """Terms that hold within a range of ages, in years."""


class _Entry(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc] # pydantic's own way for a TypedDict
    terms: Required[Annotated[list[Annotated[str, Field(pattern=r"\w")]], Field(min_length=1)]]


class _FindingEntry(_Entry, total=False):
    tier: Literal["critical", "major", "minor", "expected"]
    broader: list[str]
    reads_as: list[str]


class _SiteEntry(_Entry, total=False):
    kind: Required[str]
    within: list[str]
    side: Literal["left", "right"]
    sided: bool


class _AgesEntry(_Entry, total=False):
    range: Required[tuple[int, int]]


class _OwnFile(TypedDict, total=False):
    """A site's own file, which is an operator's to write; the packaged ones have a test."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    region: str
    findings: dict[str, _FindingEntry]
    devices: dict[str, _FindingEntry]
    sites: dict[str, _SiteEntry]
    sex: dict[Literal["female", "male"], _Entry]
    ages: dict[str, _AgesEntry]


_OWN: TypeAdapter[_OwnFile] = TypeAdapter(_OwnFile)


@cache
def load_lexicon(*more: Path) -> Lexicon:
    """The packaged lexicon with the entries of a site's own files, which may replace packaged ones.

    Raises ConfigError with every fault of the files.
    """
    packaged = sorted((f for f in files(__package__).joinpath("lexicon").iterdir()), key=lambda f: f.name)
    tables = [tomllib.loads(f.read_text(encoding="utf-8")) for f in packaged if f.name.endswith(".toml")]
    return _build([*tables, *map(_read_own, more)])


def _read_own(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"guard.lexicon: {path} can't be read: {error}"]) from None
    try:
        _OWN.validate_python(table)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigError([f"guard.lexicon: {path}: {fault}" for fault in faults]) from None
    return table


def _build(tables: list[dict[str, Any]]) -> Lexicon:
    findings, devices, sites = ({k: v for t in tables for k, v in t.get(name, {}).items()} for name in _KINDS)
    above = _Closure({k: v.get("broader", ()) for k, v in (findings | devices).items()})
    around = _Closure({k: v.get("within", ()) for k, v in sites.items()})
    concepts = [
        (term, _concept(name, entry, above, is_device=is_device))
        for group, is_device in ((findings, False), (devices, True))
        for name, entry in group.items()
        for term in _terms(entry)
    ]
    return Lexicon(
        concepts=PhraseTable(concepts),
        sites=PhraseTable((term, _site(n, e, around)) for n, e in sites.items() for term in _terms(e)),
        sex={
            letter: PhraseTable(
                (term, " ".join(term)) for t in tables for term in _terms(t.get("sex", {}).get(sex, {}))
            )
            for letter, sex in (("F", "female"), ("M", "male"))
        },
        ages=PhraseTable(
            (term, (entry["range"][0], entry["range"][1]))
            for t in tables
            for entry in t.get("ages", {}).values()
            for term in _terms(entry)
        ),
    )


_KINDS = ("findings", "devices", "sites")


def _concept(name: str, entry: Mapping[str, Any], above: _Closure, *, is_device: bool) -> Concept:
    return Concept(
        name=name,
        tier=TIERS[entry.get("tier", "minor")],
        is_device=is_device,
        broader=above.of(name),
        reads_as=frozenset(entry.get("reads_as", ())),
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
    yield from dict.fromkeys(tuple(stem(w) for w in read_words(term)) for term in entry.get("terms", ()))


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
