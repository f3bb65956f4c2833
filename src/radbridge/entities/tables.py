"""The files of the lexicon: the packaged ones, and a site's own, which add to them.

A site's entry under a packaged name adds its `terms`, takes out those under `drop`, and replaces every other key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from radbridge.errors import ConfigError
from radbridge.text import read_words, stem
from radbridge.text.phrases import Phrase

KINDS = ("findings", "devices", "no_findings", "sites", "sex", "ages")
Entries = dict[str, dict[str, Any]]
Tables = Mapping[str, Entries]
"""Entries by kind and name."""

_NEEDS = dict.fromkeys(KINDS, ("terms",)) | {"sites": ("terms", "kind"), "ages": ("terms", "range")}
_LINKS = {
    "broader": ("findings", "devices"),
    "reads_as": ("findings", "devices"),
    "misplaced_at": ("sites",),
    "within": ("sites",),
}
_SHARE_TERMS = (("findings", "devices", "no_findings"), ("sites",))
"""Kinds among which a term means one thing."""
_Terms = Annotated[list[Annotated[str, Field(pattern=r"\w")]], Field(min_length=1)]


class _Entry(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc] # pydantic's own way for a TypedDict
    terms: _Terms
    drop: _Terms


class _FindingEntry(_Entry, total=False):
    tier: Literal["critical", "major", "minor", "expected"]
    broader: list[str]
    reads_as: list[str]


class _DeviceEntry(_FindingEntry, total=False):
    misplaced_at: list[str]


class _SiteEntry(_Entry, total=False):
    kind: str
    within: list[str]
    side: Literal["left", "right"]
    sided: bool


class _AgesEntry(_Entry, total=False):
    range: tuple[int, int]


class _OwnFile(TypedDict, total=False):
    """A site's own file, which is an operator's to write; the packaged ones have a test."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    region: str
    findings: dict[str, _FindingEntry]
    devices: dict[str, _DeviceEntry]
    no_findings: dict[str, _Entry]
    sites: dict[str, _SiteEntry]
    sex: dict[Literal["female", "male", "neither"], _Entry]
    ages: dict[str, _AgesEntry]


_OWN: TypeAdapter[_OwnFile] = TypeAdapter(_OwnFile)


def read_tables(own: Iterable[Path]) -> Tables:
    """The packaged entries with those of a site's own files. Raises ConfigError with every fault of these."""
    merged: dict[str, Entries] = {kind: {} for kind in KINDS}
    for file in sorted(files(__package__).joinpath("lexicon").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            _merge(merged, tomllib.loads(file.read_text(encoding="utf-8")))
    for path in own:
        faults = list(_add(merged, _read_own(path)))
        if faults:
            raise ConfigError([f"guard.lexicon: {path}: {fault}" for fault in faults])
    return merged


def read_term(term: str) -> Phrase:
    """The form in which a term is looked for: the stems of its words."""
    return tuple(stem(word) for word in read_words(term))


def _read_own(path: Path) -> Mapping[str, Entries]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"guard.lexicon: {path} can't be read: {error}"]) from None
    try:
        _OWN.validate_python(table)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigError([f"guard.lexicon: {path}: {fault}" for fault in faults]) from None
    return {kind: table.get(kind, {}) for kind in KINDS}


def _add(merged: dict[str, Entries], own: Mapping[str, Entries]) -> Iterator[str]:
    """Add a file's entries; what is wrong with them."""
    yield from _find_strangers(merged, own)
    _merge(merged, own)
    for kind, entries in own.items():
        for name in entries:
            yield from (f"{kind}.{name}.{key}: missing" for key in _NEEDS[kind] if not merged[kind][name].get(key))
    yield from _find_loose_ends(merged, own)
    yield from _find_double_terms(merged, own)


def _merge(merged: dict[str, Entries], more: Mapping[str, Any]) -> None:
    for kind in KINDS:
        for name, entry in more.get(kind, {}).items():
            known = merged[kind].get(name, {})
            dropped = set(map(read_term, entry.get("drop", ())))
            terms = [t for t in known.get("terms", ()) if read_term(t) not in dropped] + entry.get("terms", [])
            merged[kind][name] = {k: v for k, v in (known | entry).items() if k != "drop"} | {"terms": terms}


def _find_strangers(merged: Tables, own: Tables) -> Iterator[str]:
    """What is to be dropped, and isn't there."""
    for kind, entries in own.items():
        for name, entry in entries.items():
            terms = set(map(read_term, merged[kind].get(name, {}).get("terms", ())))
            for term in entry.get("drop", ()):
                if read_term(term) not in terms:
                    yield f"{kind}.{name}.drop: {term!r} is no term of it"


def _find_loose_ends(merged: Tables, own: Tables) -> Iterator[str]:
    """Links of the new entries that lead nowhere: a misspelt `broader` would be read by nobody."""
    for kind, entries in own.items():
        for name, entry in entries.items():
            for key, kinds in _LINKS.items():
                for end in entry.get(key, ()):
                    if all(end not in merged[k] for k in kinds):
                        yield f"{kind}.{name}.{key}: there is no {end!r}"


def _find_double_terms(merged: Tables, own: Tables) -> Iterator[str]:
    """New terms that mean something else already."""
    for kinds in _SHARE_TERMS:
        owners: dict[Phrase, list[str]] = {}
        for kind in kinds:
            for name, entry in merged[kind].items():
                for term in entry["terms"]:
                    owners.setdefault(read_term(term), []).append(f"{kind}.{name}")
        for kind in kinds:
            for name, entry in own[kind].items():
                for term in entry.get("terms", ()):
                    if others := [o for o in owners[read_term(term)] if o != f"{kind}.{name}"]:
                        yield f"{kind}.{name}.terms: {term!r} belongs to {others[0]}: put it under `drop` there"
