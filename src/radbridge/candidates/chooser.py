"""Rates candidates by a network of one hidden layer. Its weights are a JSON file that can be read and compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from radbridge.candidates.features import FEATURES
from radbridge.errors import ConfigError
from radbridge.jsonl import tell_faults

CHOOSING = "choosing.json"
_FURTHEST = 5.0
"""Standard deviations from the mean beyond which a feature counts no more."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureWeights:
    """One feature: its mean and standard deviation over the training candidates, and its weight in each hidden unit."""

    mean: Finite
    deviation: Annotated[Finite, Field(gt=0)]
    weights: tuple[Finite, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chooser:
    """What a site model has learnt about choosing. More is better; only differences within one case mean anything."""

    version: Literal[1] = 1
    taken_up: Mapping[str, Annotated[Finite, Field(ge=0, le=1)]]
    """Of the reports whose findings name a finding, the share whose impression does."""
    features: Mapping[str, FeatureWeights]
    """Those of `FEATURES`, in their order."""
    bias: tuple[Finite, ...]
    output: tuple[Finite, ...]
    """What each hidden unit adds to the rating when it answers."""

    def rate(self, row: Sequence[float]) -> float:
        """The rating of a candidate with these features."""
        units = list(self.bias)
        for value, feature in zip(row, self.features.values(), strict=True):
            scaled = max(-_FURTHEST, min(_FURTHEST, (value - feature.mean) / feature.deviation))
            for unit, weight in enumerate(feature.weights):
                units[unit] += scaled * weight
        return math.fsum(weight * max(0.0, unit) for weight, unit in zip(self.output, units, strict=True))


_CHOOSER: TypeAdapter[Chooser] = TypeAdapter(Chooser)


def read_chooser(path: Path) -> Chooser:
    """The chooser in a file. Raises ConfigError that says what is wrong with it."""
    try:
        chooser = _CHOOSER.validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or 'it cannot be read'}"]) from None
    except ValidationError as error:
        raise ConfigError([f"{path}: {tell_faults(error)}"]) from None
    units = len(chooser.bias)
    if list(chooser.features) != list(FEATURES):
        raise ConfigError([f"{path}: features: are not those that this version of RadBridge counts"])
    if any(len(w) != units for w in (chooser.output, *(f.weights for f in chooser.features.values()))):
        raise ConfigError([f"{path}: features, bias and output: differ in how many hidden units they have"])
    return chooser


def write_chooser(path: Path, chooser: Chooser) -> None:
    """Write a chooser."""
    path.write_bytes(_CHOOSER.dump_json(chooser, indent=1) + b"\n")
