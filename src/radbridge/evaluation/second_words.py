"""The second checker's own words, `second.toml`, as patterns."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Triggers:
    """Words that tell a state when they stand so many tokens before or after a finding."""

    before: re.Pattern[str]
    after: re.Pattern[str]
    ends: re.Pattern[str]
    """What ends the scope of one that stands before."""
    back: int
    ahead: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of trait: its values, and how near a finding they stand."""

    values: Mapping[str, re.Pattern[str]]
    back: int
    ahead: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondWords:
    """All of the table."""

    findings: Mapping[str, re.Pattern[str]]
    normal: Mapping[str, re.Pattern[str]]
    acute: Mapping[str, frozenset[str]]
    """By part; under `whole` all of them."""
    excused: re.Pattern[str]
    sides: Mapping[str, re.Pattern[str]]
    side_tokens: int
    joins: re.Pattern[str]
    none: re.Pattern[str]
    """What looks like a negation and is none."""
    links: re.Pattern[str]
    negation: Triggers
    uncertainty: Triggers
    kinds: Mapping[str, Kind]


@cache
def load_words() -> SecondWords:
    """The table, read once."""
    told: dict[str, Any] = tomllib.loads(files("radbridge.evaluation").joinpath("second.toml").read_text("utf-8"))
    acute = {part: frozenset(names) for part, names in told["acute"].items()}
    normal, side, negation = told["normal"], told["side"], told["negation"]
    return SecondWords(
        findings={name: _bounded(pattern) for name, pattern in told["findings"].items()},
        normal={part: re.compile(pattern) for part, pattern in normal.items() if part != "excused"},
        acute=acute | {"whole": frozenset().union(*acute.values())},
        excused=_bounded(normal["excused"]),
        sides={name: re.compile(side[name]) for name in ("left", "right", "both")},
        side_tokens=side["tokens"],
        joins=re.compile(side["joins"]),
        none=_bounded(negation["none"]),
        links=re.compile(negation["links"]),
        negation=_read_triggers(negation),
        uncertainty=_read_triggers(told["uncertainty"]),
        kinds={
            name: Kind(
                values={value: _bounded(pattern) for value, pattern in kind["values"].items()},
                back=kind["before_tokens"],
                ahead=kind["after_tokens"],
            )
            for name, kind in told["traits"].items()
        },
    )


def _read_triggers(told: Mapping[str, Any]) -> Triggers:
    return Triggers(
        before=_bounded(told["before"]),
        after=_bounded(told["after"]),
        ends=_bounded(told["ends"]),
        back=told["before_tokens"],
        ahead=told["after_tokens"],
    )


def _bounded(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9-])(?:{pattern})(?![a-z0-9-])")
