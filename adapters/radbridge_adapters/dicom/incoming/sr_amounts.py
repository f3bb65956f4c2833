"""Numbers with their units (TID 300, UCUM), as a report has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from radbridge.case import Code
from radbridge_adapters.dicom.incoming.sr_tree import Node

UNITS = {
    "millimeter": "mm",
    "millimeters": "mm",
    "millimetre": "mm",
    "centimeter": "cm",
    "centimeters": "cm",
    "centimetre": "cm",
    "square millimeter": "mm2",
    "square centimeter": "cm2",
    "cubic millimeter": "mm3",
    "cubic centimeter": "cm3",
    "milliliter": "ml",
    "mL": "ml",
    "cc": "cm3",
    "[hnsf'U]": "HU",
    "Hounsfield Unit": "HU",
    "hounsfield unit": "HU",
    "1": "",
    "no units": "",
    "{ratio}": "",
}
"""What senders write -> what is shown; what isn't here stays as it is."""
_TO_MM = {"cm": Decimal(10), "m": Decimal(1000)}
_MAX_UNIT_CHARS = 24
_LARGEST = Decimal("1e12")
_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """A number and its unit; lengths are in mm."""

    value: str = field(repr=False)
    unit: str


def read_amount(node: Node) -> Amount | None:
    """What a NUM item says, to two decimals; None when it has no number."""
    try:
        number = Decimal(node.number)
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number) >= _LARGEST:
        return None
    unit = _unit(node.unit)
    if unit in _TO_MM:
        number, unit = number * _TO_MM[unit], "mm"
    return Amount(value=_write(number), unit=unit)


def _unit(code: Code) -> str:
    for name in (code.value, code.value.lower(), code.display.lower()):
        if name in UNITS:
            return UNITS[name]
    return "" if code.value.startswith("{") else code.value[:_MAX_UNIT_CHARS]


def _write(number: Decimal) -> str:
    """Without the noise of binary fractions, and small numbers not rounded to nothing."""
    rounded = number.quantize(_HUNDREDTH) if abs(number) >= _HUNDREDTH else Decimal(f"{number:.2g}")
    text = f"{rounded:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
