"""Simulated radiologists: hidden styles that the base never saw, and the cases of each, in the order of signing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from radbridge_training.synth import Part, SynthReport, generate_reports, pick_personas
from radbridge_training.synth.mixture import PLAIN
from radbridge_training.synth.persona import Persona

SEED = 80_000
_CASES_SEED = 90_000


@dataclass(frozen=True, kw_only=True)
class Signer:
    """One radiologist."""

    number: int
    persona: Persona
    count: int
    """Cases that they will see in all."""

    @property
    def id(self) -> str:
        """As HL7 names them."""
        return str(1001 + self.number)

    @property
    def name(self) -> str:
        """XCN without the id."""
        return f"READER^{chr(65 + self.number)}"

    @cached_property
    def cases(self) -> tuple[SynthReport, ...]:
        """What was dictated, oldest first."""
        mixture = replace(PLAIN, personas=(self.persona,))
        return tuple(generate_reports(_CASES_SEED + self.number, self.count, mixture))

    def accession(self, number: int) -> str:
        """Of the case at this place."""
        return f"L{self.id}N{number:04}"


def make_signers(people: int, cases: int) -> list[Signer]:
    """`people` radiologists with so many cases each."""
    personas = pick_personas(SEED, people, Part.HELD_OUT)
    return [Signer(number=n, persona=persona, count=cases) for n, persona in enumerate(personas)]
