"""The vocabulary that the coarse stage and the guard share, read once from the package's TOML files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

from radbridge.text.phrases import Phrase, PhraseTable, make_cues
from radbridge.text.words import read_words, stem

_LIST = re.compile(r"<(\w+)>")
WEIGHTS = {"critical": 3.0, "major": 2.0, "minor": 1.0, "expected": 0.5}


@dataclass(frozen=True, kw_only=True, slots=True)
class Concept:
    """A finding, whatever its synonym: `embolism` for "pulmonary embolus". `weight`: one of `WEIGHTS`."""

    name: str
    weight: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Cue:
    """What a phrase does to a denial; all False: it looks like a denial and is none (`not only`)."""

    before: bool = False
    """It denies the words after it."""
    after: bool = False
    """It denies the words before it."""
    alone: bool = False
    """It is a denial by itself and denies nothing else (`without contrast`)."""
    ends: bool = False
    """A denial reaches no further."""
    opens: bool = False
    """It says that the words before it aren't excluded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnStatement:
    """What tells that the words behind a comma or an "and" no longer belong to a denial's list."""

    verbs: frozenset[str]
    plural_verbs: frozenset[str]
    adverbs: frozenset[str]
    closing: frozenset[str]
    """Behind a verb, these close the list itself: `no mass or cyst is seen`."""
    begins: frozenset[str]
    begins_joined: frozenset[str]
    """As `begins`, behind "and"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """Findings are matched by stems, cues by plain words."""

    findings: PhraseTable[Concept]
    denials: PhraseTable[Cue]
    changes: frozenset[str]
    """Denied, they deny nothing else: `no growth of the cyst`."""
    between: frozenset[str]
    """What may stand between a denial and the change that it denies."""
    named: frozenset[str]
    """Behind a change, these make a name of it: `no growth restriction` denies no change."""
    resumes: frozenset[str]
    """Behind "or", the denial goes on with these: `no growth or new lesion`."""
    own: OwnStatement
    open_before: tuple[str, ...]
    """What says that the words after it aren't excluded."""
    open_after: tuple[str, ...]
    uncertain: PhraseTable[bool]
    grading: frozenset[str]
    """Stems that say how much of a finding there is."""


@cache
def load_vocabulary() -> Vocabulary:
    """The shared vocabulary; read on first use."""
    cues = read_toml(__package__, "cues.toml")
    denial = {name: tuple(spell_out(phrases, cues["lists"])) for name, phrases in cues["denial"].items()}
    change, own = cues["denied_change"], cues["own_statement"]
    return Vocabulary(
        findings=PhraseTable(_concepts(read_toml(__package__, "findings.toml"))),
        denials=PhraseTable(_denial_cues(denial)),
        changes=frozenset(change["words"]),
        between=frozenset(change["between"]),
        named=frozenset(change["named"]),
        resumes=frozenset(change["resumes"]),
        own=OwnStatement(**{name: frozenset(words) for name, words in own.items()}),
        open_before=denial["open_before"],
        open_after=denial["open_after"],
        uncertain=make_cues(cues["uncertain"]["phrases"]),
        grading=frozenset(stem(w) for w in cues["grading"]["words"]),
    )


def read_toml(package: str, name: str) -> dict[str, Any]:
    """A data file of a package."""
    return tomllib.loads(files(package).joinpath(name).read_text(encoding="utf-8"))


def spell_out(phrases: Iterable[str], lists: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Each phrase, once for every choice that its `<names>` of `lists` give."""
    for phrase in phrases:
        plain, *rest = _LIST.split(phrase)
        for chosen in product(*(lists[name] for name in rest[::2])):
            yield plain + "".join(word + more for word, more in zip(chosen, rest[1::2], strict=True))


def _denial_cues(denial: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[Phrase, Cue]]:
    """One cue for each phrase, whatever lists it stands in."""
    phrases = {name: {tuple(read_words(p)) for p in them} for name, them in denial.items()}
    unreal = phrases["false"] | phrases["open_before"] | phrases["open_after"]
    for phrase in set[Phrase]().union(*phrases.values()):
        real = phrase not in unreal
        yield (
            phrase,
            Cue(
                before=real and phrase in phrases["before"],
                after=real and phrase in phrases["after"],
                alone=phrase in phrases["alone"],
                ends=phrase in phrases["ends"] or phrase in phrases["open_before"],
                opens=phrase in phrases["open_after"],
            ),
        )


def _concepts(table: Mapping[str, Mapping[str, list[str]]]) -> Iterable[tuple[Phrase, Concept]]:
    for tier, concepts in table.items():
        for name, terms in concepts.items():
            concept = Concept(name=name, weight=WEIGHTS[tier])
            for phrase in {tuple(stem(w) for w in read_words(term)) for term in terms}:
                yield phrase, concept
