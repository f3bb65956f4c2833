"""When a generated text is not to be shown, and what stands in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from radbridge.draft import Flag, FlagKind, Severity
from radbridge.guard import find_fault
from radbridge.style import Hand
from radbridge_model_server.engines.engine import Finish, Generated

_ADDED = frozenset((Severity.WARNING, kind) for kind in FlagKind if kind is not FlagKind.OMITTED)
_UNFINISHED: dict[Finish, str] = {Finish.REPETITION: "it repeats itself", Finish.LENGTH: "it doesn't end"}
_TOO_LONG = "it is too long for the model's context"
_NUMBER = re.compile(r"^1[.)] +")
_OBJECTIONABLE = frozenset({FlagKind.INSTRUCTION})
"""Kinds of flag that cost a text its place though they are only warnings: the coarse text says the same without."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewrite:
    """The statements of a coarse text in another style, put together again."""

    text: str = field(repr=False)
    refused: tuple[str, ...]
    """Why statements were left as they were, one reason each."""


def assemble(statements: Sequence[str], generated: Sequence[Generated | None], hand: Hand | None = None) -> Rewrite:
    """Each statement as it was rewritten, or as it was where the rewrite doesn't hold: style is lost, never content.

    None stands for a statement that the model can't take. They are laid out as `hand` is used to. Without one, a LoRA
    that numbers even a single statement makes a list, and its items are numbered through.
    """
    faults = [_find_fault(g, s) if g else _TOO_LONG for s, g in zip(statements, generated, strict=True)]
    texts = [s if fault or g is None else g.text for s, g, fault in zip(statements, generated, faults, strict=True)]
    rewritten = [text for text, fault in zip(texts, faults, strict=True) if not fault]
    said = [text if fault else _bare(text) for text, fault in zip(texts, faults, strict=True)]
    is_list = any(_NUMBER.match(text) for text in rewritten)
    text = hand.lay_out(said) if hand else _join(said, is_list=is_list)
    return Rewrite(text=text, refused=tuple(fault for fault in faults if fault))


def find_refusal(generated: Generated) -> str:
    """Why a generated text is no text; empty when it is one."""
    return "it is empty" if not generated.text.strip() else _UNFINISHED.get(generated.finish, "")


def find_objection(flags: Sequence[Flag], coarse_flags: Sequence[Flag]) -> str:
    """What the guard has against a text and not against the coarse one; empty when there is nothing grave."""
    grave = {f.kind for f in flags if f.severity is Severity.CRITICAL or f.kind in _OBJECTIONABLE}
    return _object(grave - {f.kind for f in coarse_flags})


def find_addition(flags: Sequence[Flag], coarse_flags: Sequence[Flag]) -> str:
    """What a text that is written freely says for the worse, finding by finding; empty when it is nothing.

    Signed reports of others were in view: whatever the guard warns of and didn't in the coarse text may be from there.
    Only that it leaves out something that isn't grave is the writer's own affair.
    """
    before = {(f.kind, f.message) for f in coarse_flags}
    told = (f for f in flags if f.severity is Severity.CRITICAL or (f.severity, f.kind) in _ADDED)
    return _object({f.kind for f in told if (f.kind, f.message) not in before})


def _object(kinds: set[str]) -> str:
    return f"the guard objects ({', '.join(sorted(kinds))})" if kinds else ""


def _join(said: Sequence[str], *, is_list: bool) -> str:
    return "\n".join(f"{n}. {item}" for n, item in enumerate(said, 1)) if is_list else " ".join(said)


def _find_fault(generated: Generated, statement: str) -> str:
    return find_refusal(generated) or find_fault(_bare(generated.text), statement)


def _bare(text: str) -> str:
    return _NUMBER.sub("", text.strip())
