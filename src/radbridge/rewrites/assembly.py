"""Rewritten statements put together again, each held to what it rewrites."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from radbridge.guard import find_fault
from radbridge.style import Hand

_TOO_LONG = "it is too long for the model's context"
_NUMBER = re.compile(r"^1[.)] +")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """What a model wrote for one statement."""

    text: str = field(repr=False)
    refusal: str = ""
    """Why it is no text: it is empty, unfinished or goes round in circles."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewrite:
    """The statements of a coarse text in another style, put together again."""

    text: str = field(repr=False)
    refused: tuple[str, ...]
    """Why statements were left as they were, one reason each."""


def assemble(statements: Sequence[str], attempts: Sequence[Attempt | None], hand: Hand | None = None) -> Rewrite:
    """Each statement as it was rewritten, or as it was where the rewrite doesn't hold: style is lost, never content.

    None stands for a statement that the model can't take. They are laid out as `hand` is used to. Without one, a LoRA
    that numbers even a single statement makes a list, and its items are numbered through.
    """
    faults = [_find_fault(a, s) if a else _TOO_LONG for s, a in zip(statements, attempts, strict=True)]
    texts = [s if fault or a is None else a.text for s, a, fault in zip(statements, attempts, faults, strict=True)]
    rewritten = [text for text, fault in zip(texts, faults, strict=True) if not fault]
    said = [text if fault else _bare(text) for text, fault in zip(texts, faults, strict=True)]
    is_list = any(_NUMBER.match(text) for text in rewritten)
    text = hand.lay_out(said) if hand else _join(said, is_list=is_list)
    return Rewrite(text=text, refused=tuple(fault for fault in faults if fault))


def _find_fault(attempt: Attempt, statement: str) -> str:
    return attempt.refusal or find_fault(_bare(attempt.text), statement)


def _join(said: Sequence[str], *, is_list: bool) -> str:
    return "\n".join(f"{n}. {item}" for n, item in enumerate(said, 1)) if is_list else " ".join(said)


def _bare(text: str) -> str:
    return _NUMBER.sub("", text.strip())
