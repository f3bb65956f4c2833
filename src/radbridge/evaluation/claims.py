"""Reads what a text claims, for the second checker: findings with their state and side, and numbers with their unit.

It shares no code and no word list with the guard, and may import neither. It is cruder, too: a table of findings,
negation by a window of tokens (NegEx, Chapman et al. 2001), the nearest side.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate, pairwise

from radbridge.evaluation.second_words import Triggers, load_words

_TOKEN = re.compile(r"[a-z0-9]+(?:['’./-][a-z0-9]+)*|,")
_SENTENCE = re.compile(r"(?<!\d)[.!?](?=\s|$)|(?<=\d)\.(?=\s|$)|[;:\n]+")
_BOTH = re.compile(r"\b(?:left and right|right and left)\b")
_LIST_NUMBER = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+", re.MULTILINE)
_SIZES = re.compile(
    r"(?P<numbers>\d+(?:\.\d+)?(?:\s*(?:x|×|by)\s*\d+(?:\.\d+)?)*)\s*-?\s*"
    r"(?P<unit>mm|millimet(?:er|re)s?|cm|centimet(?:er|re)s?|hu|%|percent|degrees?|ml|cc)(?![a-z])"
)
_LEVEL = re.compile(r"(?P<part>[ctls])(?P<first>\d{1,2})(?:[-/](?P<other>[ctls]?)(?P<last>\d{1,2}))?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_UNITS = {"m": (1.0, "mm"), "c": (10.0, "mm"), "h": (1.0, "hu"), "%": (1.0, "%"), "p": (1.0, "%"), "d": (1.0, "deg")}
_VOLUMES = ("ml", "cc")
_KEPT = 512
"""Texts whose claims are kept: every arm of a comparison has the same findings."""

NORMAL = "normal/"
"""How the name of a claim begins that calls a part of the body free of acute findings."""


class State(StrEnum):
    """What a text says of a finding."""

    PRESENT = "present"
    POSSIBLE = "possible"
    ABSENT = "absent"


@dataclass(frozen=True, order=True, slots=True)
class Claim:
    """One thing that a text says."""

    finding: str
    """A name of second.toml, or one that begins with `NORMAL`."""
    state: State
    side: str = ""
    """`left`, `right`, `both`; empty where none is told."""


@dataclass(frozen=True, order=True, slots=True)
class Trait:
    """What a finding is like or where it is, or of which side a place is."""

    what: str
    """A name of second.toml; for `side`, the word that the side stands before."""
    kind: str
    """A kind of second.toml, `level` or `side`."""
    value: str


@lru_cache(maxsize=_KEPT)
def read_claims(text: str) -> frozenset[Claim]:
    """Every claim of a text."""
    return frozenset(claim for sentence in _split(text) for claim in _read_sentence(sentence))


@lru_cache(maxsize=_KEPT)
def read_traits(text: str) -> frozenset[Trait]:
    """Every trait of what a text says is there, or may be."""
    return frozenset(trait for sentence in _split(text) for trait in _read_traits(sentence))


def name_findings(claims: Iterable[Claim]) -> frozenset[str]:
    """The findings that claims are about; those of a whole part are about none."""
    return frozenset(claim.finding for claim in claims if not claim.finding.startswith(NORMAL))


def find_told(text: str) -> frozenset[str]:
    """The findings that a text says are there, or may be."""
    return name_findings(claim for claim in read_claims(text) if claim.state is not State.ABSENT)


def read_sizes(text: str) -> frozenset[str]:
    """Every number with a unit, in one spelling: `12 mm` for 1.2 cm."""
    found = set()
    for match in _SIZES.finditer(text.lower()):
        unit = match["unit"]
        factor, name = (1.0, "ml") if unit in _VOLUMES else _UNITS[unit[0]]
        found |= {f"{float(number) * factor:g} {name}" for number in _NUMBER.findall(match["numbers"])}
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Mention:
    finding: str
    first: int
    last: int
    """Places of tokens, the last one included."""


def _split(text: str) -> Iterator[str]:
    for sentence in _SENTENCE.split(_BOTH.sub("bilateral", _LIST_NUMBER.sub("\n", text.lower()))):
        if said := " ".join(_TOKEN.findall(sentence)):
            yield said


def _read_sentence(said: str) -> Iterator[Claim]:
    words, tokens = load_words(), said.split()
    mentions = _find_mentions(said, tokens)
    taken = {place for mention in mentions for place in range(mention.first, mention.last + 1)}
    for mention in mentions:
        yield Claim(mention.finding, _tell_state(tokens, mention, taken), _tell_side(tokens, mention, taken))
    if words.excused.search(said) is None:
        for part, pattern in words.normal.items():
            if pattern.search(said):
                yield Claim(f"{NORMAL}{part}", State.ABSENT)


def _read_traits(said: str) -> Iterator[Trait]:
    tokens = said.split()
    mentions = _find_mentions(said, tokens)
    taken = {place for mention in mentions for place in range(mention.first, mention.last + 1)}
    for mention in mentions:
        if _tell_state(tokens, mention, taken) is not State.ABSENT:
            yield from _list_traits(tokens, mention, taken)
    for token, after in pairwise(tokens):
        if (side := _side_of(token)) and after.isalpha():
            yield Trait(after, "side", side)


def _list_traits(tokens: Sequence[str], mention: _Mention, taken: Collection[int]) -> Iterator[Trait]:
    first = next((p + 1 for p in range(mention.first - 1, -1, -1) if p in taken), 0)
    last = next((p for p in range(mention.last + 1, len(tokens)) if p in taken), len(tokens))
    before, own = tokens[first : mention.first], tokens[mention.first : mention.last + 1]
    after = tokens[mention.last + 1 : last]
    for name, kind in load_words().kinds.items():
        near = " ".join((*before[max(0, len(before) - kind.back) :], *own, *after[: kind.ahead]))
        yield from (Trait(mention.finding, name, value) for value, one in kind.values.items() if one.search(near))
    for token in (*before, *after):
        if match := _LEVEL.fullmatch(token):
            yield from (Trait(mention.finding, "level", level) for level in _spell_levels(match))


def _spell_levels(match: re.Match[str]) -> Iterator[str]:
    """`l4`, `l5` of L4-5."""
    yield match["part"] + match["first"]
    if match["last"]:
        yield (match["other"] or match["part"]) + match["last"]


def _find_mentions(said: str, tokens: Sequence[str]) -> list[_Mention]:
    """The findings of a sentence, the longer one where two share a word: `mass effect` is no mass."""
    starts = list(accumulate((len(token) + 1 for token in tokens), initial=0))
    spans = [
        (match.start(), match.end(), name)
        for name, pattern in load_words().findings.items()
        for match in pattern.finditer(said)
    ]
    found, reached = [], 0
    for start, end, name in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= reached:
            found.append(_Mention(name, bisect_left(starts, start), bisect_left(starts, end) - 1))
            reached = end
    return found


def _tell_state(tokens: Sequence[str], mention: _Mention, taken: Collection[int]) -> State:
    """A negation outweighs a doubt; `cannot be excluded` is a doubt."""
    before, after = _around(tokens, mention, taken)
    if _is_triggered(before, after, load_words().negation):
        return State.ABSENT
    return State.POSSIBLE if _is_triggered(before, after, load_words().uncertainty) else State.PRESENT


def _around(tokens: Sequence[str], mention: _Mention, taken: Collection[int]) -> tuple[Sequence[str], Sequence[str]]:
    """What stands before a finding, the nearest token last, and after it; what links a list is left out before it."""
    before = [
        token
        for place, token in enumerate(tokens[: mention.first])
        if place not in taken and not load_words().links.fullmatch(token)
    ]
    return before, tokens[mention.last + 1 :]


def _is_triggered(before: Sequence[str], after: Sequence[str], triggers: Triggers) -> bool:
    words = load_words()
    near, behind = " ".join(before[-triggers.back :]), " ".join(after[: triggers.ahead])
    if triggers is words.negation:
        near, behind = words.none.sub(" ", near), words.none.sub(" ", behind)
    last = max((match.end() for match in triggers.before.finditer(near)), default=None)
    if last is not None and triggers.ends.search(near, last) is None:
        return True
    return triggers.after.search(behind) is not None


def _tell_side(tokens: Sequence[str], mention: _Mention, taken: Collection[int]) -> str:
    """The nearest side before a finding, else one that a preposition joins to it; never across another finding."""
    words = load_words()
    own = range(mention.first, mention.last + 1)
    for place in range(mention.last, max(-1, mention.first - 1 - words.side_tokens), -1):
        if place in taken and place not in own:
            break
        if side := _side_of(tokens[place]):
            return side
    for place in range(mention.last + 1, min(len(tokens), mention.last + 1 + words.side_tokens)):
        if place in taken:
            break
        joined = any(words.joins.fullmatch(token) for token in tokens[max(mention.last + 1, place - 2) : place])
        if joined and (side := _side_of(tokens[place])):
            return side
    return ""


def _side_of(token: str) -> str:
    return next((side for side, pattern in load_words().sides.items() if pattern.fullmatch(token)), "")
