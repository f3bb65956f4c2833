"""Radiologists whom nothing was trained on: what they signed before, and what is to be drafted for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from radbridge_training.synth import Part, Persona, generate_reports, pick_personas
from radbridge_training.synth.mixture import PLAIN

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Radiologist:
    """One simulated radiologist. Rows are as `radbridge draft` and `radbridge evaluate` read them."""

    signed: tuple[Row, ...]
    """The oldest first."""
    asked: tuple[Row, ...]
    """To draft, with what the radiologist would have signed."""


def simulate(seed: int, people: int, *, signed: int, asked: int) -> Iterator[Radiologist]:
    """Radiologists with held-out wordings, each with a hospital's reports of their own."""
    for place, persona in enumerate(pick_personas(seed, people, Part.HELD_OUT)):
        rows = tuple(_report(seed + place, place, persona, signed + asked))
        yield Radiologist(signed=rows[:signed], asked=rows[signed:])


def _report(seed: int, place: int, persona: Persona, count: int) -> Iterator[Row]:
    mixture = replace(PLAIN, personas=(persona,))
    for number, report in enumerate(generate_reports(seed, count, mixture)):
        yield report.as_row(number) | {"id": f"{place}-{number}", "radiologist": persona.name}
