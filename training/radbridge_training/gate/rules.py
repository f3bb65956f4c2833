"""The gate's rules as data: `gate.toml`, and `hacking.toml` for the signs of a reward that was gamed."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from radbridge.errors import ConfigError
from radbridge_training.gate.arms import Arm
from radbridge_training.recipe import Table

_HERE = "radbridge_training.gate"


class Difference(Table):
    """How much worse a figure may be, to the bound, than that of another arm."""

    figure: str
    better: Literal["less", "more"]
    against: tuple[Arm, ...]
    margin: float = Field(ge=0)
    margin_marked: float | None = Field(default=None, ge=0)
    """In place of `margin` where the champion was trained on something that was withdrawn; None: the same."""
    level: float = Field(gt=0.5, lt=1)
    """Of the one-sided bound."""
    spare_one: bool = False
    """Whether it is enough that the rule holds without the one report that tells the most against the candidate."""
    never_worse: tuple[Arm, ...] = ()
    """Arms than which the figure itself, without a bound, may not be worse by more than `slack`."""
    slack: float = Field(default=0.0, ge=0)


class Limit(Table):
    """What a figure may be at most, and at least."""

    most: float
    least: float | None = None


class FlagKinds(Table):
    """Kinds of blocking flags that come anew."""

    against: tuple[Arm, ...]


class Regressed(Table):
    """Reports that the candidate gets wrong, by one of these figures, and no other arm does."""

    figures: tuple[str, ...]
    most: int = Field(ge=0)
    """By one figure."""


class Parity(Table):
    """How alike the server's answers and the trainer's own must be: one of the two is enough."""

    least_equal: float = Field(ge=0, le=1)
    most_distance: float = Field(ge=0, le=1)


class Leakage(Table):
    """What of the learned reports must never be said to another patient's."""

    run: int = Field(ge=4)
    """Words in a row."""
    samples: int = Field(ge=0)
    """Continuations that are drawn at random, beside the drafts."""


class Rules(Table):
    """All of them."""

    draws: int = Field(ge=200)
    """Of the bootstrap."""
    difference: Mapping[str, Difference]
    regressed: Regressed
    flag_kinds: FlagKinds
    hacking: Mapping[str, Limit]
    parity: Parity
    leakage: Leakage


def load_rules(path: Path | None = None) -> Rules:
    """The packaged rules, or those of a site's own file in the form of `gate.toml`. Raises ConfigError."""
    where = "gate.toml" if path is None else str(path)
    try:
        text = files(_HERE).joinpath("gate.toml").read_text("utf-8") if path is None else path.read_text("utf-8")
        told: dict[str, Any] = tomllib.loads(text)
        hacking = tomllib.loads(files(_HERE).joinpath("hacking.toml").read_text("utf-8"))
        return Rules.model_validate({"hacking": hacking} | told)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"{where}: can't be read ({type(error).__name__})"]) from None
    except ValidationError as error:
        raise ConfigError([f"{where}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]) from None
