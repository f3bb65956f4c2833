"""Errors of size: another value, another unit, one dimension, the decimal point."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from tests.bench.guard.change import Change, editable, swap
from tests.bench.guard.reports import Report

_SIZE = re.compile(
    r"(?<![\w.])(\d+(?:\.\d+)?)((?:\s*(?:x|by|×)\s*\d+(?:\.\d+)?){0,2})[\s-]*(mm|cm)\b(?!/|\s?H2O)", re.IGNORECASE
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_IN_MM = {"mm": 1.0, "cm": 10.0}
_FACTORS = (0.4, 0.5, 0.6, 1.5, 1.8, 2.2, 3.0)
_APART = 0.15
"""So far, as a share, a wrong value lies from every size in the findings."""


def alter_sizes(report: Report, rng: Random) -> Iterator[Change]:
    """A size of the impression becomes one that the findings don't hold."""
    known = [_in_mm(match) for match in _SIZE.finditer(report.findings)]
    for sentence in editable(report):
        for match in _SIZE.finditer(sentence.text):
            if any(_same(_in_mm(match), size) for size in known):
                for sub, wrong in _alter(match, rng):
                    if not _is_said(wrong, known):
                        yield swap(f"measurement/{sub}", sentence.start + match.start(), match.group(), wrong)


def _alter(match: re.Match[str], rng: Random) -> Iterator[tuple[str, str]]:
    text, unit = match.group(), match.group(3)
    numbers = list(_NUMBER.finditer(text))
    other = {"mm": "cm", "cm": "mm"}[unit.lower()]
    yield "unit", text[: -len(unit)] + other
    number = rng.choice(numbers)
    wrong = _scale(number.group(), rng.choice(_FACTORS))
    yield "dimension" if len(numbers) > 1 else "value", text[: number.start()] + wrong + text[number.end() :]
    first = numbers[0].group()
    moved = _scale_by_ten(first, up=rng.random() < 0.5)
    if len(numbers) == 1 and moved != first:
        yield "decimal", moved + text[len(first) :]


def _scale(number: str, factor: float) -> str:
    places = len(number.partition(".")[2])
    return f"{float(number) * factor:.{places}f}"


def _scale_by_ten(number: str, *, up: bool) -> str:
    """The decimal point one place to the right or left, as somebody mistypes it."""
    whole, _, part = number.partition(".")
    if part and up:
        return str(int(whole + part[:1])) + (f".{part[1:]}" if part[1:] else "")
    return f"{whole}0" if up else f"{float(number) / 10:g}"


def _in_mm(match: re.Match[str]) -> tuple[float, ...]:
    factor = _IN_MM[match.group(3).lower()]
    return tuple(float(n) * factor for n in _NUMBER.findall(match.group(1) + match.group(2)))


def _same(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return len(one) == len(other) and all(abs(a - b) < 1e-6 for a, b in zip(one, other, strict=True))


def _is_said(size: str, known: list[tuple[float, ...]]) -> bool:
    """Whether each of the size's values is near one of the findings' own, so that it may be meant; zero is no size."""
    match = _SIZE.search(size)
    values = _in_mm(match) if match else ()
    said = [value for one in known for value in one]
    return any(v <= 0 for v in values) or all(any(abs(v - s) <= _APART * s for s in said) for v in values)
