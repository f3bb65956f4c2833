"""Dialects of FHIRcast, from `dialects.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from radbridge.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """What one hub or vendor does its own way; the defaults are the standard's."""

    needs_version: bool = True
    post_is_put: bool = False
    fhir: Literal["R4", "R5"] = "R4"
    link_result: bool = False


def find_dialect(name: str) -> Dialect:
    """The dialect called `name`. Raises ConfigError that lists those there are."""
    table = tomllib.loads((files(__package__) / "dialects.toml").read_text(encoding="utf-8"))
    if name not in table:
        raise ConfigError([f"fhircast: no dialect named {name!r}; there are {', '.join(sorted(table))}"])
    return Dialect(**table[name])
