"""Statements of a draft that order its writer about, or carry markup, instead of stating a finding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from radbridge.draft import Flag
from radbridge.text import holds_controls, label_sentences, read_words
from radbridge.text.phrases import PhraseTable, make_cues
from radbridge.text.vocabulary import read_toml

_CLAUSE_END = re.compile(r"[:;,.!?()\[\]<>|\"“”«»、，。：；！？—]")
_FRAME = re.compile(r"^there (?:is|are) (?:also )?(?:an? )?", re.IGNORECASE)
"""What a LoRA puts before a statement, an order too: `There is swap left and right.`"""
_LONGEST_START = 3
"""Words of the longest phrase that a clause can begin with."""
_REACH = 7
"""An order names what it is about within so many words after its verb."""
_MAX_NAMED = 5
"""Statements that a flag names by their number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Orders:
    """How an order is known, and markup."""

    anywhere: PhraseTable[bool]
    start: PhraseTable[bool]
    about: dict[str, frozenset[str]]
    """Verbs that make an order of a clause only with one of these words."""
    openers: frozenset[str]
    """Every word that an order can begin with."""
    nouns: frozenset[str]
    """Words before which such a verb is a noun."""
    politeness: frozenset[str]
    markup: re.Pattern[str]


def check_instructions(draft: str) -> Iterator[Flag]:
    """One flag for the statements that are orders or hold markup, by their numbers; one for hidden characters.

    The messages quote nothing: whoever wrote the order would be heard once more.
    """
    statements = label_sentences(draft)
    odd = [n for n, s in enumerate(statements, 1) if is_instruction(f"{s.label}: {s.text}" if s.label else s.text)]
    if odd:
        which = ", ".join(map(str, odd[:_MAX_NAMED])) + (", ..." if len(odd) > _MAX_NAMED else "")
        yield _flag(
            f"an order or markup stands where a finding should, in statement {which} of the draft: "
            "compare it with what was dictated, and strike it out if it doesn't belong there"
        )
    if holds_controls(draft):
        yield _flag("the draft holds characters that can't be seen: type the passage anew before signing")


def is_instruction(statement: str) -> bool:
    """Whether one statement orders a writer about or holds markup."""
    orders = _load_orders()
    return bool(orders.markup.search(statement)) or _gives_order(statement, orders)


def _gives_order(statement: str, orders: Orders) -> bool:
    words = read_words(statement)
    if any(real for _, _, real in orders.anywhere.find(words)):
        return True
    if orders.openers.isdisjoint(words):
        return False
    clauses = (_drop_politeness(read_words(c), orders) for c in _CLAUSE_END.split(_FRAME.sub("", statement)))
    return any(_begins_order(words, orders) for words in clauses)


def _drop_politeness(words: list[str], orders: Orders) -> list[str]:
    first = next((i for i, word in enumerate(words) if word not in orders.politeness), len(words))
    return words[first:]


def _begins_order(words: list[str], orders: Orders) -> bool:
    if any(start == 0 and real for start, _, real in orders.start.find(words[:_LONGEST_START])):
        return True
    if not words or not orders.nouns.isdisjoint(words[1:2]):
        return False
    return not orders.about.get(words[0], frozenset()).isdisjoint(words[1 : 1 + _REACH])


def _flag(message: str) -> Flag:
    return Flag(kind="instruction", message=message)


@cache
def _load_orders() -> Orders:
    table = read_toml(__package__, "instructions.toml")
    about = {verb: frozenset(row["objects"].split()) for row in table["about"] for verb in row["verbs"]}
    return Orders(
        anywhere=make_cues(table["anywhere"]["phrases"], table["anywhere"]["false"]),
        start=make_cues(table["start"]["phrases"], table["start"]["false"]),
        about=about,
        openers=frozenset((*about, *(read_words(phrase)[0] for phrase in table["start"]["phrases"]))),
        nouns=frozenset(table["nouns"]["after"].split()),
        politeness=frozenset(table["politeness"]["words"].split()),
        markup=_compile_markup(table["markup"]["tags"].split(), table["markup"]["passages"]),
    )


def _compile_markup(tags: Iterable[str], passages: Iterable[str]) -> re.Pattern[str]:
    """Every part is bounded: a hostile text is read in linear time."""
    parts = (
        r"<\|[^|<>]{0,40}\|?>",  # <|im_start|>
        r"\[/?(?:INST|SYS|SYSTEM|USER|ASSISTANT)\]",
        r"^\s?#{2,6}\s",  # ### Instruction
        r"`{3}|<!--|\{\{",
        rf"</?(?:{'|'.join(tags)})(?:[\s/][^<>]{{0,300}})?>",
        r"\]\(",  # a markdown link
        r"\b(?:https?|ftp|javascript)://?|\bwww\.\w",
        r"\\(?:[HNFSTREP]|X[0-9A-F]{2,200}|[CM][0-9A-F]{4,6}|Z\w{0,40}|\.[a-z]{2}[+-]?\d{0,4})\\",  # HL7 v2.5.1 2.7
        r"\b(?:MSH|PID|ORC|OBR|OBX|NTE|TXA)\|",
        r"^(?:human|user|assistant)\s?:",
        r"\b(?:say|write|reply|respond|print)(?: only)?\s?:",
        *passages,
    )
    return re.compile("|".join(parts), re.IGNORECASE)
