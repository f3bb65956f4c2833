"""The grammar: from an organ of the anatomy table to a dictated statement."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from random import Random
from typing import Any

from radbridge_training.synth.words import NUMBERS, draw_date, draw_number, draw_size, invent_word, load_table

_HABITS = 2  # phrases of a kind
_HOLE = re.compile(r"\{(\w+)\}")
_VOWEL = re.compile(r"[aeiou]|8|11 |18 |MR|FDG|L\d|SUV", re.ASCII)


class Kind(StrEnum):
    """What a statement says about the patient."""

    ABNORMAL = "abnormal"
    NEGATIVE = "negative"
    NORMAL = "normal"
    ADVICE = "advice"


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One dictated sentence."""

    text: str = field(repr=False)
    kind: Kind
    weight: float
    """How much it matters: the impression takes the heaviest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grammar:
    """What one report can say: its organs and the share of words that are invented."""

    rng: Random
    organs: tuple[dict[str, Any], ...]
    wildness: float
    habits: dict[str, list[str]] | None = None
    """The few phrases of each kind that this dictation uses, found as it goes; None: any. What sounds alike must still
    be told apart: "Mild stenosis of ... Mild stenosis in ..."."""
    sides: tuple[str, ...] = ("left", "right")

    def state_abnormal(self, organ: dict[str, Any]) -> Statement:
        """An abnormal statement about `organ`; a third carries an inference."""
        focal = self.rng.random() < 0.5
        text = self._focal(organ) if focal else self._diffuse(organ)
        if self.rng.random() < 0.15 and not text.endswith("}."):
            text = f"{text[:-1]}, {self.fill(self.phrase('inference'))}."
        return Statement(text=text, kind=Kind.ABNORMAL, weight=self.rng.random() + focal * 0.3)

    def state_normal(self, organ: dict[str, Any]) -> Statement:
        """A normal or a negative statement about `organ`."""
        if self.rng.random() < 0.7:
            text = self.fill(self.rng.choice(organ["normal"]))
            return Statement(text=text, kind=Kind.NORMAL, weight=0)
        holes = {f"bare{i}": self._bare(organ) for i in ("", "2", "3")}
        holes["site"] = self._site(organ)
        holes |= {"Site": capitalize(holes["site"]), "Bare": capitalize(holes["bare"])}
        return Statement(text=self.fill(self.phrase("negative_frames"), holes), kind=Kind.NEGATIVE, weight=0)

    def state_advice(self) -> Statement:
        """A recommendation."""
        return Statement(text=self.fill(self.phrase("advice")), kind=Kind.ADVICE, weight=-1)

    def fill(self, frame: str, holes: dict[str, str] | None = None) -> str:
        """`frame` with every hole filled, from `holes` first and else at random."""
        known = holes or {}
        while _HOLE.search(frame):
            frame = _HOLE.sub(lambda hole: known[hole[1]] if hole[1] in known else self._draw(hole[1]), frame)
        return frame

    def _focal(self, organ: dict[str, Any]) -> str:
        bare = self._bare(organ, "focal")
        plural = self.rng.random() < 0.2
        words = [
            self.phrase("several") if plural else self._size_or_quality(),
            self.phrase("quality") if self.rng.random() < 0.3 else "",
        ]
        thing = " ".join(w for w in (*words, pluralize(bare) if plural else bare) if w)
        with_article = thing if plural else add_article(thing)
        site = self._site(organ)
        holes = {
            "np": thing,
            "Np": capitalize(thing),
            "a_np": with_article,
            "A_np": capitalize(with_article),
            "bare": bare,
            "site": site,
            "Site": capitalize(site),
            "is": "are" if plural else "is",
            "has": "have" if plural else "has",
            "tail": self._tail(),
            "size_tail": f", measuring {draw_size(self.rng)}" if self.rng.random() < 0.6 else "",
        }
        return self.fill(self.phrase("focal_frames"), holes)

    def _diffuse(self, organ: dict[str, Any]) -> str:
        site = self._site(organ)
        thing, thing2 = self._bare(organ, "diffuse"), self._bare(organ, "diffuse")
        thing = f"{self.phrase('degree')} {thing}" if self.rng.random() < 0.7 else thing
        holes = {
            "np": thing,
            "Np": capitalize(thing),
            "np2": thing2,
            "site": site,
            "Site": capitalize(site),
            "tail": self._tail(),
        }
        return self.fill(self.phrase("diffuse_frames"), holes)

    def _draw(self, hole: str) -> str:
        if hole in NUMBERS:
            return draw_number(hole, self.rng)
        if hole == "side":
            return self.rng.choice(self.sides)
        if hole == "date":
            return draw_date(self.rng)
        if hole == "size":
            return draw_size(self.rng)
        if hole == "invented" or self.rng.random() < self.wildness:
            return invent_word(self.rng)
        return self.phrase(hole)

    def phrase(self, name: str) -> str:
        """One of the phrases of the table `name`, with its holes."""
        phrases: list[str] = load_table("phrases")[name]
        if self.habits is not None:
            phrases = self.habits.setdefault(name, self.rng.choices(phrases, k=_HABITS))
        return self.rng.choice(phrases)

    def _bare(self, organ: dict[str, Any], kind: str = "") -> str:
        if self.rng.random() < self.wildness:
            return " ".join(invent_word(self.rng) for _ in range(self.rng.choice((1, 1, 2))))
        thing: str = self.rng.choice(organ[kind or self.rng.choice(("focal", "diffuse"))])
        return self.fill(thing)

    def _site(self, organ: dict[str, Any]) -> str:
        if self.rng.random() < self.wildness * 0.6:
            return f"the {self.rng.choice(self.sides)} {invent_word(self.rng)}"
        return self.fill(self.rng.choice(organ["sites"]))

    def _size_or_quality(self) -> str:
        draw = self.rng.random()
        return draw_size(self.rng) if draw < 0.4 else self.phrase("quality") if draw < 0.8 else ""

    def _tail(self) -> str:
        draw = self.rng.random()
        if draw < 0.15:
            return f", {self.fill(self.phrase('change'))}"
        if draw < 0.3:
            return f", {self.fill(self.phrase('inference'))}"
        return f" measuring {draw_size(self.rng)}" if draw < 0.4 else ""


@cache
def regions() -> tuple[dict[str, Any], ...]:
    """The regions of the anatomy table."""
    return tuple(load_table("anatomy")["region"])


def capitalize(text: str) -> str:
    """`text` with its first letter large, the rest as it is."""
    return text[:1].upper() + text[1:]


def add_article(thing: str) -> str:
    """`thing` with "a" or "an"."""
    return f"{'an' if _VOWEL.match(thing) else 'a'} {thing}"


def pluralize(thing: str) -> str:
    """The regular plural of the last word, or of the one before "of" or "with"."""
    head, joint, rest = _split_head(thing)
    ending = "es" if head.endswith(("s", "x", "ch", "sh")) else "s"
    if head.endswith("y") and head[-2:-1] not in "aeiou":
        head, ending = head[:-1], "ies"
    return head + ending + joint + rest


def _split_head(thing: str) -> tuple[str, str, str]:
    for joint in (" of ", " with "):
        if joint in thing:
            head, rest = thing.split(joint, 1)
            return head, joint, rest
    return thing, "", ""
