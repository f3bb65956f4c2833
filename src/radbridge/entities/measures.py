"""Measurements: values with a unit, in each quantity's first unit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_UNITS = {
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), ("length", 1.0)),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), ("length", 10.0)),
    **dict.fromkeys(("ml", "cc"), ("volume", 1.0)),
    **dict.fromkeys(("%", "percent"), ("percent", 1.0)),
    **dict.fromkeys(("bpm",), ("rate", 1.0)),
    "hu": ("density", 1.0),
}
_VALUE = r"\d{1,6}(?:\.\d{1,4})?"
_BETWEEN = r"(?:\s{0,3}(?:mm|cm)?\s{0,3}(?:x|by|×|-|–|to|and|,|/)\s{0,3})"
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
# What may not stand before the first digit, looked for after it: a pattern that begins with a digit is found faster.
_FIRST = (
    r"\d(?<![\d.]\d)(?<![CTLS]\d)(?<![CTLS]\d[-/]\d)(?<![CTLS]\d\d[-/]\d)"
    r"\d{0,5}(?:\.\d{1,4})?"
)
_MEASURE = re.compile(
    rf"(?P<values>{_FIRST}(?:{_BETWEEN}{_VALUE}){{0,5}})\s{{0,3}}-?(?P<unit>{_UNIT})(?![a-z])",
    re.IGNORECASE,
)
_ONE_VALUE = re.compile(rf"({_VALUE})\s*(mm|cm)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One value in its quantity's first unit (mm, mL, %, bpm, HU). `step` is the last digit's worth, in that unit."""

    quantity: str
    value: float
    step: float
    text: str = field(repr=False)
    """The whole of what it stands in, `2.4 x 3.9 cm`."""
    start: int
    """Where that begins, and where it ends."""
    end: int

    def agrees(self, source: Measure) -> bool:
        """Whether it is the source's value, or that rounded to its own digits."""
        slack = self.step / 2 + 1e-9 if self.step > source.step else 1e-6
        return self.quantity == source.quantity and abs(self.value - source.value) <= slack


def read_measures(text: str) -> list[Measure]:
    """Every value with a unit. In `2.4 x 3.9 cm` both are centimetres."""
    found: list[Measure] = []
    for match in _MEASURE.finditer(text):
        for value, own in _ONE_VALUE.findall(match["values"]):
            quantity, size = _UNITS[(own or match["unit"]).lower()]
            decimals = len(value.partition(".")[2])
            found.append(
                Measure(
                    quantity=quantity,
                    value=float(value) * size,
                    step=size * 10.0**-decimals,
                    text=" ".join(match[0].split()),
                    start=match.start(),
                    end=match.end(),
                )
            )
    return found
