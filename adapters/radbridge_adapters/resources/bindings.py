"""The codes that R4 requires, by element path (`DiagnosticReport.status`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def required_codes() -> Mapping[str, frozenset[str]]:
    """Element path -> its codes; an element that isn't here may have any."""
    text = (files(__package__) / "bindings.toml").read_text(encoding="utf-8")
    return {path: frozenset(codes) for path, codes in tomllib.loads(text).items()}
