"""JSON in and out, held to what FHIR asks of it: UTF-8, no key twice, no lone surrogate, decimals as they were written.

Nesting is counted on the bytes, before any parser sees them: a parser that recurses is what deep nesting is sent for.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from radbridge_adapters.resources.outcome import Issues, refuse

MAX_DEPTH = 64
MAX_MAGNITUDE = 400
"""Decimal places before or behind the point: more than any double has (308), or anything that is measured."""

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NO_BRACKET = bytes(set(range(256)) - set(b"{}[]"))
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_json(raw: bytes, *, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """The object that `raw` holds, its fractions as `Decimal`. Raises Issues for anything else."""
    if _depth_of(raw, max_depth) > max_depth:
        raise refuse("structure", f"nested deeper than {max_depth} levels")
    try:
        if _SURROGATE.search(raw):
            orjson.loads(raw)  # the standard library takes a lone surrogate, which no UTF-8 can hold
        document = json.loads(
            raw.decode("utf-8-sig"),
            parse_float=_read_decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_refuse_twice,
        )
    except ValueError:  # its text quotes the body
        raise refuse("structure", "the body is no JSON") from None
    if not isinstance(document, dict):
        raise refuse("structure", "the body is no JSON object")
    return document


def write_json(document: Any) -> bytes:
    """The document as JSON, keys in their order, a `Decimal` digit for digit."""
    return orjson.dumps(document, default=_exact)


def _depth_of(raw: bytes, enough: int) -> int:
    depth = deepest = 0
    for bracket in _STRING.sub(b"", raw).translate(None, _NO_BRACKET):
        if bracket in b"{[":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > enough:
                break
        else:
            depth -= 1
    return deepest


def _read_decimal(text: str) -> Decimal:
    """The number as it was written. One beyond all measure would cost its reader digits without end."""
    try:
        number = Decimal(text)
        if abs(number.adjusted()) <= MAX_MAGNITUDE:
            return number
    except InvalidOperation:
        pass
    raise refuse("value", f"a number has more than {MAX_MAGNITUDE} places")


def _refuse_constant(_: str) -> Any:
    raise ValueError("NaN and Infinity are no JSON")


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Twice
    return made


class _Twice(Issues):
    """A key stands twice in one object: which of the two a reader takes is anybody's guess."""

    def __init__(self) -> None:
        super().__init__(refuse("structure", "a JSON object names one key twice").issues)


def _exact(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(type(value).__name__)
