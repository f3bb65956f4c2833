"""The grammar: from an organ of the anatomy table to a dictated statement."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from random import Random
from typing import Any

from radbridge.text import read_words
from radbridge_training.synth.words import NUMBERS, draw_date, draw_number, draw_size, invent_word, load_table

_HABITS = 2  # phrases of a kind
_HOLE = re.compile(r"\{(\w+)\}")
_COMPARES = re.compile(
    r"\b(?:prior|previous(?:ly)?|since|interval|unchanged|stable|new|old|again|persists?|improved|worsened|worse|larger|smaller"
    r"|increased since|increased in size|decreased from|resolving|before|developed|not significantly changed)\b"
    r"|\{(?:change|changed|date)\}",
    re.IGNORECASE,
)
_TRENDS = ("trend_same", "trend_larger", "trend_smaller")
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
    compared: str = ""
    """The date of the prior study that changes are told against; without one nothing is said to have changed."""
    before: list[str] = field(default_factory=list, repr=False)
    """What the prior study said of the lesions that are measured again, gathered as they are dictated."""
    sides: tuple[str, ...] = ("left", "right")

    def state_abnormal(self, organ: dict[str, Any]) -> Statement:
        """An abnormal statement about `organ`; a third carries an inference."""
        focal = self.rng.random() < 0.5
        if focal and self.compared and self.rng.random() < 0.35:
            text = self._measured_again(organ)
        else:
            text = self._focal(organ) if focal else self._diffuse(organ)
        if self.rng.random() < 0.15 and not text.endswith("}."):
            text = f"{text[:-1]}, {self.fill(self.phrase('inference'))}."
        return Statement(text=text, kind=Kind.ABNORMAL, weight=weigh(text))

    def state_normal(self, organ: dict[str, Any]) -> Statement:
        """A normal or a negative statement about `organ`."""
        if self.rng.random() < 0.7:
            text = self.fill(self.rng.choice(organ["normal"]))
            return Statement(text=text, kind=Kind.NORMAL, weight=0)
        bare = list(dict.fromkeys(self._bare(organ) for _ in range(8)))
        holes = {f"bare{i}": bare[n % len(bare)] for n, i in enumerate(("", "2", "3"))}
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

    def deny(self, what: str) -> Statement:
        """The denial of `what`."""
        holes = {"bare": what, "bare2": what}
        frame = self.rng.choice([f for f in self.phrases("negative_frames") if set(_HOLE.findall(f)) == {"bare"}])
        return Statement(text=self.fill(frame, holes), kind=Kind.NEGATIVE, weight=0)

    def _measured_again(self, organ: dict[str, Any]) -> str:
        """A lesion with its size now and then, and a word of change that agrees with the two."""
        before = self.rng.randint(3, 60)
        now = self.rng.choice((before, before + self.rng.randint(2, 20), before - self.rng.randint(1, before // 2)))
        trend = _TRENDS[(now > before) + 2 * (now < before)]
        told = self.fill(self.rng.choice(self.phrases(trend)), {"before": f"{before} mm"})
        bare, site = self._bare(organ, "focal"), self._site(organ)
        self.before.append(f"{before} mm {bare} in {site}.")
        thing = f"{now} mm {bare}"
        frame = self.rng.choice(
            ("There is {a_np} in {site}, {told}.", "{Np} in {site}, {told}.", "{A_np} is seen in {site}, {told}.")
        )
        holes = {"a_np": add_article(thing), "Np": thing, "A_np": capitalize(add_article(thing))}
        return self.fill(frame, holes | {"site": site, "told": told})

    def _focal(self, organ: dict[str, Any]) -> str:
        bare = self._bare(organ, "focal")
        plural = self.rng.random() < 0.2
        first = self.phrase("several") if plural else self._size_or_quality()
        second = self.phrase("quality") if first[:1].isdigit() and self.rng.random() < 0.3 else ""
        thing = " ".join(w for w in (first, second, pluralize(bare) if plural else bare) if w)
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
            return self.compared or draw_date(self.rng)
        if hole == "size":
            return draw_size(self.rng)
        if hole == "invented" or self.rng.random() < self.wildness:
            return invent_word(self.rng)
        return self.phrase(hole)

    def phrase(self, name: str) -> str:
        """One of the phrases of the table `name`, with its holes."""
        phrases = self.phrases(name)
        if self.habits is not None:
            phrases = self.habits.setdefault(name, self.rng.choices(phrases, k=_HABITS))
        return self.rng.choice(phrases)

    def phrases(self, name: str) -> list[str]:
        """Those of the table `name` that can be said: none that compares where there is nothing to compare with.

        Where words are to make sense, no heading stands in running text: it would be read as that of what follows, too.
        """
        phrases = load_phrases(name) if self.compared else _load_uncompared(name)
        return phrases if self.wildness else [p for p in phrases if not p.startswith("{Site}:")]

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
        if draw < 0.15 and self.compared:
            return f", {self.fill(self.phrase('change'))}"
        if draw < 0.3:
            return f", {self.fill(self.phrase('inference'))}"
        return f" measuring {draw_size(self.rng)}" if draw < 0.4 else ""


@cache
def regions() -> tuple[dict[str, Any], ...]:
    """The regions of the anatomy table."""
    return tuple(load_table("anatomy")["region"])


def load_phrases(name: str) -> list[str]:
    """The table `name` of the phrases."""
    phrases: list[str] = load_table("phrases")[name]
    return phrases


@cache
def _load_uncompared(name: str) -> list[str]:
    phrases = load_phrases(name)
    return [p for p in phrases if not _COMPARES.search(p)] or phrases


def weigh(text: str) -> float:
    """How much a finding matters, from 0 to 2: by what it is and how it is qualified."""
    words = set(read_words(text))
    slight, grave = (len(words.intersection(load_phrases(name))) for name in ("slight", "grave"))
    return 1.0 + 0.4 * min(grave, 2) - 0.4 * min(slight, 2)


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
