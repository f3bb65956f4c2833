"""Repairs a draft by leaving out what the guard has against it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from radbridge.draft import Flag, FlagKind, Section, Severity
from radbridge.guard.policy import GuardPolicy
from radbridge.text import label_sentences

_NUMBERED = re.compile(r"\s*\(?1[.)]\s")


@dataclass(frozen=True, kw_only=True, slots=True)
class Repair:
    """A draft without the statements that were objected to, and the flags of what is left."""

    text: str = field(repr=False)
    flags: tuple[Flag, ...]
    notes: tuple[Flag, ...]
    """A flag for each statement that went: which, why, and where in the other texts its matter stands."""


def drop_flagged(
    draft: str, flags: Sequence[Flag], policy: GuardPolicy, check: Callable[[str], tuple[Flag, ...]]
) -> Repair | None:
    """The draft without the statements that its blocking flags lie in; None when that doesn't help.

    It doesn't when a flag is about the whole draft, when nothing would be left, or when what is left doesn't pass.
    `check` gives the flags of a text.
    """
    blocking = policy.judge(flags).blocking
    if not blocking or not all(any(s.section == Section.DRAFT for s in f.spans) for f in blocking):
        return None
    sentences = label_sentences(draft)
    against = [[f for f in blocking if _lies_in(f, s.start, s.end)] for s in sentences]
    kept = [s for s, objections in zip(sentences, against, strict=True) if not objections]
    if not kept or len(kept) == len(sentences):
        return None
    said = [f"{s.label}: {draft[s.start : s.end]}" if s.label else draft[s.start : s.end] for s in kept]
    is_list = bool(_NUMBERED.match(draft)) and len(said) > 1
    text = "\n".join(f"{n}. {item}" for n, item in enumerate(said, 1)) if is_list else " ".join(said)
    left = check(text)
    if not passes(left, policy):
        return None
    notes = tuple(_note(n, len(sentences), objections) for n, objections in enumerate(against, 1) if objections)
    return Repair(text=text, flags=left, notes=notes)


def passes(flags: Sequence[Flag], policy: GuardPolicy) -> bool:
    """Whether a text with these flags may stand in for one that was kept back: not blocked, nothing grave left out."""
    grave = any(f.kind == FlagKind.OMITTED and f.severity is Severity.CRITICAL for f in flags)
    return not grave and not policy.judge(flags).blocking


def _note(number: int, count: int, objections: Sequence[Flag]) -> Flag:
    kinds = ", ".join(dict.fromkeys(f.kind for f in objections))
    spans = dict.fromkeys(s for f in objections for s in f.spans if s.section != Section.DRAFT)
    return Flag(
        kind=FlagKind.LEFT_OUT,
        message=f"Statement {number} of {count} was left out: the guard objects to it ({kinds}).",
        spans=tuple(spans),
    )


def _lies_in(flag: Flag, start: int, end: int) -> bool:
    return any(s.section == Section.DRAFT and start < s.end and s.start < end for s in flag.spans)
