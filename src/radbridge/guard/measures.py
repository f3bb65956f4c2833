"""Measurements: a value with a unit in the draft must be in the sources, to the draft's own rounding."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from radbridge.draft import Flag, Severity

_UNITS = {
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), ("length", 1.0)),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), ("length", 10.0)),
    **dict.fromkeys(("ml", "cc"), ("volume", 1.0)),
    **dict.fromkeys(("%", "percent"), ("percent", 1.0)),
    "hu": ("density", 1.0),
}
_VALUE = r"\d{1,6}(?:\.\d{1,4})?"
_BETWEEN = r"(?:\s{0,3}(?:mm|cm)?\s{0,3}(?:x|by|×|-|–|to|and|,|/)\s{0,3})"
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_MEASURE = re.compile(
    rf"(?<![\d.])(?P<values>{_VALUE}(?:{_BETWEEN}{_VALUE}){{0,5}})\s{{0,3}}-?(?P<unit>{_UNIT})(?![a-z])", re.IGNORECASE
)
_ONE_VALUE = re.compile(rf"({_VALUE})\s*(mm|cm)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One value in its quantity's first unit (mm, mL, %, HU). `step` is the last digit's worth, in the same unit."""

    quantity: str
    value: float
    step: float
    text: str


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
                )
            )
    return found


def check_measures(draft: str, sources: Sequence[str]) -> Iterator[Flag]:
    """One flag for each measurement that no source holds."""
    wanted = read_measures(draft)
    if not wanted:
        return
    told = [m for source in sources for m in read_measures(source)]
    for text in dict.fromkeys(m.text for m in wanted if not any(_agree(m, t) for t in told)):
        yield Flag(
            kind="measurement", message=f"the findings don't hold the measurement {text!r}", severity=Severity.CRITICAL
        )


def _agree(draft: Measure, source: Measure) -> bool:
    """Equal, or the draft's is the source's rounded."""
    return draft.quantity == source.quantity and abs(draft.value - source.value) <= max(
        1e-6, draft.step / 2 + 1e-9 if draft.step > source.step else 0.0
    )
