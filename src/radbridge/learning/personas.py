"""Whose style somebody's signed impressions are nearest to, until they have a LoRA of their own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from statistics import fmean

from radbridge.style.features import count_features, load_features

Features = Mapping[str, float]
"""Mean counts, by the names of `style.features`."""


@cache
def load_centres() -> Mapping[str, Features]:
    """The packaged personas, by owner: `persona/succinct`."""
    table = tomllib.loads(files(__package__).joinpath("personas.toml").read_text(encoding="utf-8"))
    return {f"persona/{name}": features for name, features in table.items()}


def nearest_persona(impressions: Iterable[str], centres: Mapping[str, Features] | None = None) -> str:
    """The name of the centre that is nearest; the packaged personas' where none are given. Empty without a word."""
    told = mean_features(impressions)
    known = load_centres() if centres is None else centres
    return min(known, key=lambda name: _measure(told, known[name])) if told and known else ""


def mean_features(impressions: Iterable[str]) -> Features:
    """How the impressions are written, on average; nothing where none of them has a word."""
    counted = [counts for text in impressions if any(counts := count_features(text))]
    return dict(zip(load_features().names, map(fmean, zip(*counted, strict=True)), strict=False)) if counted else {}


def _measure(one: Features, other: Features) -> float:
    spread = load_features().spread
    return fmean(abs(one[name] - other[name]) / unit for name, unit in spread.items())
