"""How a text is written, as numbers: what makes two impressions sound like one hand, whatever they say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from radbridge.text import read_words, split_sentences

_NUMBERED = re.compile(r"(?m)^\s*\(?\d{1,2}[.)]\s")
_BULLETED = re.compile(r"(?m)^\s*[-*•·–]\s")
_SHORT_FORM = re.compile(r"\b(?:[A-Z]{2,5}|w/o?|s/p|c/w|f/u|r/o|[bl]/l|approx|dx|hx|fx|tx)\b")
_BY_SENTENCE = ("framed", "denials", "hedges", "changes", "advice")


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureTable:
    """The features in order, how much each varies, and the phrases that some of them count."""

    spread: Mapping[str, float]
    """Standard deviation of each feature over many styles; never zero."""
    phrases: Mapping[str, re.Pattern[str]]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.spread)


@cache
def load_features() -> FeatureTable:
    """The packaged table."""
    table = tomllib.loads(files(__package__).joinpath("features.toml").read_text(encoding="utf-8"))
    return FeatureTable(
        spread=table["spread"],
        phrases={
            name: re.compile(rf"\b(?:{'|'.join(sorted(map(re.escape, phrases), key=len, reverse=True))})\b")
            for name, phrases in table["phrases"].items()
        },
    )


def count_features(text: str) -> tuple[float, ...]:
    """One number for each feature, in the order of `load_features().names`. All are zero for a text without words."""
    sentences, words = split_sentences(text), read_words(text)
    if not sentences or not words:
        return (0.0,) * len(load_features().spread)
    counted = _count_layout(text, sentences, words) | _count_phrases(sentences)
    return tuple(counted[name] for name in load_features().names)


def measure_style(text: str, other: str) -> float:
    """How differently two texts are written: the mean difference of their features, in standard deviations."""
    spread = load_features().spread.values()
    pairs = zip(count_features(text), count_features(other), spread, strict=True)
    return sum(abs(one - two) / unit for one, two, unit in pairs) / len(spread)


def _count_layout(text: str, sentences: Sequence[str], words: Sequence[str]) -> dict[str, float]:
    many, letters = len(sentences), sum(map(str.isalpha, text))
    return {
        "words": float(len(words)),
        "sentences": float(many),
        "sentence_words": len(words) / many,
        "lines": sum(bool(line.strip()) for line in text.splitlines()) / many,
        "numbered": len(_NUMBERED.findall(text)) / many,
        "bulleted": len(_BULLETED.findall(text)) / many,
        "capitals": sum(map(str.isupper, text)) / max(1, letters),
        "short_forms": 0.0 if text.isupper() else len(_SHORT_FORM.findall(text)) / many,
        "commas": text.count(",") / many,
    }


def _count_phrases(sentences: Sequence[str]) -> dict[str, float]:
    phrases, many = load_features().phrases, len(sentences)
    said = [" ".join(read_words(sentence)) for sentence in sentences]
    counted = {name: sum(bool(phrases[name].search(s)) for s in said) / many for name in _BY_SENTENCE}
    return counted | {"telegraphic": sum(not phrases["verbs"].search(s) for s in said) / many}
