"""FHIR's primitive types: which JSON value each takes, and what it must look like (R4 datatypes.html#primitive)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from radbridge_adapters.resources.narrative import is_narrative

_LARGEST = 2**31 - 1
MAX_STRING = 1024 * 1024
"""Characters of a string (R4 datatypes.html#string)."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_CODE = re.compile(r"[^\s]+(\s[^\s]+)*")
_URI = re.compile(r"\S+")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_OID = re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+")
_UUID = re.compile(r"urn:uuid:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?", re.ASCII)
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?"
_TIME = re.compile(_CLOCK, re.ASCII)
_INSTANT = re.compile(rf"\d{{4}}-\d\d-\d\dT{_CLOCK}(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))", re.ASCII)


def is_instant(value: Any) -> bool:
    """Whether `value` is a moment with its zone, on a day that exists."""
    if not isinstance(value, str) or _INSTANT.fullmatch(value) is None:
        return False
    return _exists(value if value[:4] in _EDGES else value[:10])


_EDGES = frozenset({"0001", "9999"})
"""Years in which a zone may lead out of the calendar."""


def _exists(text: str) -> bool:
    try:
        datetime.fromisoformat(text.replace(":60", ":59")).astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return True


def _is_date(value: Any) -> bool:
    if not isinstance(value, str) or _DATE.fullmatch(value) is None or value.startswith("0000"):
        return False
    return len(value) < 10 or _exists(value)


def _is_string(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > MAX_STRING or not value or value.isspace():
        return False
    return _CONTROL.search(value) is None


def _is_base64(value: Any) -> bool:
    if not isinstance(value, str) or not value:
        return False
    try:
        binascii.a2b_base64("".join(value.split()), strict_mode=True)
    except ValueError:
        return False
    return True


def _is_decimal(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _matching(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _between(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


PRIMITIVES: Mapping[str, Callable[[Any], bool]] = {
    "base64Binary": _is_base64,
    "boolean": lambda value: isinstance(value, bool),
    "canonical": _matching(_URI),
    "code": _matching(_CODE),
    "date": _is_date,
    "dateTime": lambda value: _is_date(value) or is_instant(value),
    "decimal": _is_decimal,
    "id": _matching(_ID),
    "instant": is_instant,
    "integer": _between(-_LARGEST - 1, _LARGEST),
    "integer64": _between(-(2**63), 2**63 - 1),
    "markdown": _is_string,
    "oid": _matching(_OID),
    "positiveInt": _between(1, _LARGEST),
    "string": _is_string,
    "time": _matching(_TIME),
    "unsignedInt": _between(0, _LARGEST),
    "uri": _matching(_URI),
    "url": _matching(_URI),
    "uuid": _matching(_UUID),
    "xhtml": is_narrative,
}
"""Type -> whether a JSON value is one. None of them takes a value of another JSON type for it."""
