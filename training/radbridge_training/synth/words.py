"""Words, sizes, dates and levels drawn at random: known ones from the tables, and ones that nobody ever wrote."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any


@cache
def load_table(name: str) -> dict[str, Any]:
    """The TOML table `name` of this package."""
    return tomllib.loads((files(__package__) / f"{name}.toml").read_text(encoding="utf-8"))


def invent_word(rng: Random) -> str:
    """A word that isn't in any dictionary: syllables, Latin-like, a drug, an eponym, a code, or letters."""
    return rng.choice(_MAKERS)(rng)


def misspell(word: str, rng: Random) -> str:
    """`word` with two letters swapped, or one dropped or doubled. Short words stay."""
    if len(word) < 5 or not word.isalpha():
        return word
    i = rng.randrange(1, len(word) - 2)
    return rng.choice(
        (word[:i] + word[i + 1] + word[i] + word[i + 2 :], word[:i] + word[i + 1 :], word[: i + 1] + word[i:])
    )


def plain_word(rng: Random) -> str:
    """A common word of the reporting language."""
    word: str = rng.choice(load_table("words")["plain"])
    return word


def babble(rng: Random) -> str:
    """A sentence of any words at all, with the signs and numbers that a report would have between them."""
    invented = rng.choice((0.1, 0.3, 0.8))
    words = [
        invent_word(rng) if rng.random() < invented else plain_word(rng)
        for _ in range(rng.choice((3, 6, 9, 12, 18, 30)))
    ]
    for i in range(1, len(words)):
        if rng.random() < 0.15:
            words[i] = rng.choice(_INSERTS)(words[i], rng)
    text = " ".join(words)
    return f"{text[:1].upper()}{text[1:].rstrip('.,;')}."


def draw_size(rng: Random) -> str:
    """A size in the forms that reports use: `5 mm`, `1.2 cm`, `12 x 8 mm`."""
    unit = rng.choice(("mm", "mm", "cm"))
    count = rng.choice((1, 1, 1, 2, 2, 3))
    amounts = [str(rng.randint(1, 99)) if unit == "mm" else f"{rng.uniform(0.3, 12):.1f}" for _ in range(count)]
    size = rng.choice((" x ", " x ", " by ")).join(amounts)
    return rng.choice((f"{size} {unit}", f"{size} {unit}", f"{size}-{unit}", f"{size}{unit}"))


def draw_date(rng: Random) -> str:
    """A date in one of the common American or ISO forms, or only its month and year."""
    year, month, day = rng.randint(2001, 2029), rng.randint(1, 12), rng.randint(1, 28)
    name = load_table("phrases")["month"][month - 1]
    return rng.choice(
        (
            f"{month}/{day}/{year}",
            f"{name} {day}, {year}",
            f"{name} {year}",
            f"{year}-{month:02}-{day:02}",
            f"{month}/{year}",
        )
    )


def draw_number(kind: str, rng: Random) -> str:
    """A number of the given kind; see the table for its range."""
    if kind == "suv":
        return f"{rng.uniform(1, 25):.1f}"
    low, high = _RANGES[kind]
    return f"{rng.randint(low, high):02}" if kind == "minute" else str(rng.randint(low, high))


_RANGES = {
    "level": (1, 12),
    "lumbar": (1, 5),
    "cervical": (1, 7),
    "percent": (5, 95),
    "weeks": (6, 40),
    "days": (0, 6),
    "months": (3, 12),
    "rate": (110, 175),
    "grams": (300, 4200),
    "clock": (1, 12),
    "minute": (0, 59),
    "birads": (0, 6),
}
NUMBERS = frozenset({*_RANGES, "suv"})


_INSERTS: tuple[Callable[[str, Random], str], ...] = (
    lambda word, rng: f"{word},",
    lambda word, rng: f"{word};",
    lambda word, rng: f"({word})",
    lambda word, rng: f"({word} {rng.randint(1, 400)})",
    lambda word, rng: f"{word}/{plain_word(rng)}",
    lambda word, rng: f"{word}-{plain_word(rng)}",
    lambda word, rng: f"#{rng.randint(1, 99)}",
    lambda word, rng: f"{rng.uniform(0, 99):.1f}%",
    lambda word, rng: f"{word} {rng.randint(0, 1500)}",
    lambda word, rng: f'"{word}"',
    lambda word, rng: f"{word}'s",
    lambda word, rng: word.upper(),
    lambda word, rng: draw_size(rng),
    lambda word, rng: draw_date(rng),
)


def _syllables(rng: Random, low: int = 1, high: int = 4) -> str:
    words = load_table("words")
    parts = (
        rng.choice(words["onset"]) + rng.choice(words["nucleus"]) + rng.choice(words["coda"])
        for _ in range(rng.randint(low, high))
    )
    return "".join(parts)


def _latin(rng: Random) -> str:
    words = load_table("words")
    stems = "o".join(rng.choice(words["stem"]) for _ in range(rng.choice((1, 1, 2))))
    return str(rng.choice(words["prefix"]) + stems + rng.choice(words["ending"]))


def _drug(rng: Random) -> str:
    return _syllables(rng, 1, 2) + str(rng.choice(load_table("words")["drug_ending"]))


def _eponym(rng: Random) -> str:
    name = (_syllables(rng, 1, 2) + str(rng.choice(load_table("words")["name_ending"]))).capitalize()
    return rng.choice((name, f"{name}'s", f"{name}-{_syllables(rng, 1, 2).capitalize()}"))


def _code(rng: Random) -> str:
    if rng.random() < 0.6:
        return str(rng.choice(load_table("words")["code"]))
    return (
        rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") * rng.choice((1, 2))
        + rng.choice("ABCDEFGHKLMNPRST")
        + str(rng.randint(1, 99))
    )


def _letters(rng: Random) -> str:
    return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 9)))


_MAKERS: tuple[Callable[[Random], str], ...] = (
    _syllables,
    _syllables,
    _syllables,
    _latin,
    _latin,
    _latin,
    _drug,
    _eponym,
    _code,
    _letters,
)
