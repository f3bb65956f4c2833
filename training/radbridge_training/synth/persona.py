"""How one invented radiologist writes: the axes of a style, the three that ship, and others drawn by seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from enum import StrEnum
from itertools import count, islice
from random import Random

from radbridge_training.synth.words import load_table

_HELD_OUT_OF = 5  # every fifth wording is kept from training


class Framing(StrEnum):
    """What a finding's sentence looks like."""

    DICTATED = "dictated"
    BARE = "bare"
    """`5 mm nodule in the left lung.`"""
    FULL = "full"
    """`There is a 5 mm nodule in the left lung.`, where it was no sentence yet."""
    EXISTS = "exists"
    """The same, whatever it was."""
    VERB = "verb"
    """`5 mm nodule is seen in the left lung.`"""


class Order(StrEnum):
    """What comes first."""

    WEIGHT = "weight"
    DICTATED = "dictated"
    DENIALS_LAST = "denials_last"


class Part(StrEnum):
    """What a persona may be used for. No wording is in both."""

    TRAINING = "training"
    HELD_OUT = "held_out"


@dataclass(frozen=True, kw_only=True, slots=True)
class Persona:
    """A style. Each axis is one habit; an empty one leaves things as they were dictated.

    The wording of a sentence first, then what of the text is layout. `personas.toml` has the values of each.
    """

    name: str
    framing: Framing = Framing.DICTATED
    telegraphic: bool = False
    """Without articles and without "is": length."""
    seen: str = "seen"
    """The favourite verb, where the framing takes one."""
    denial: str = ""
    """How a negative begins and ends, as `No evidence of {}`."""
    consistent: str = ""
    suspicious: str = ""
    likely: str = ""
    possible: str = ""
    unchanged: str = ""
    reference: str = ""
    """How the comparison is named, as `from prior`."""
    advice: str = ""
    """How a recommendation is put, as `{} is recommended`."""
    times: str = ""
    """What stands between two diameters: `x` or `by`."""
    marker: str = ""
    """Before each item of a list, as `{}.` or `-`; prose without one."""
    order: Order = Order.WEIGHT
    keeps_denials: bool = True
    """Whether negatives are said beside something abnormal."""
    keeps_advice: bool = True
    joins_denials: bool = False
    """`No A, and no B.`: neighbouring negatives become one sentence."""
    opening: str = ""
    closing: str = ""
    capitals: bool = False

    @property
    def part(self) -> Part:
        """Where it belongs: decided by its wording alone, whatever its layout and name."""
        digest = hashlib.sha256(repr(astuple(self)[1:_WORDING]).encode()).digest()
        return Part.TRAINING if int.from_bytes(digest[:4]) % _HELD_OUT_OF else Part.HELD_OUT


_WORDING = [f.name for f in fields(Persona)].index("marker")

NEUTRAL = Persona(name="neutral")
NAMED = {
    persona.name: persona
    for persona in (
        Persona(name="succinct", framing=Framing.BARE),
        Persona(name="elaborate", framing=Framing.FULL),
        Persona(name="numbered", marker="{}."),
    )
}
"""The ones that ship as LoRAs."""
PERSONAS = tuple(NAMED)


def draw_personas(seed: int, part: Part) -> Iterator[Persona]:
    """Personas without end, of one part; the same ones for the same seed."""
    rng = Random(f"personas {seed}")
    drawn = (_draw_persona(f"persona-{seed}-{number}", rng) for number in count(1))
    return (persona for persona in drawn if persona.part is part)


def pick_personas(seed: int, count: int, part: Part) -> list[Persona]:
    """The first `count` of `draw_personas`."""
    return list(islice(draw_personas(seed, part), count))


def _draw_persona(name: str, rng: Random) -> Persona:
    drawn = {axis: rng.choice(values) for axis, values in load_table("personas").items()}
    drawn |= {"framing": Framing(drawn["framing"]), "order": Order(drawn["order"])}
    return Persona(name=name, **drawn)
