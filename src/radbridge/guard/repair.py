"""Repairs a draft by leaving out what the guard has against it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
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
    dropped: int
    """How many statements went."""


def drop_flagged(
    draft: str, flags: Sequence[Flag], policy: GuardPolicy, check: Callable[[str], tuple[Flag, ...]]
) -> Repair | None:
    """The draft without the statements that its blocking flags lie in; None when that doesn't help.

    It doesn't when a flag is about the whole draft, when nothing would be left, or when what is left is blocked too or
    leaves out something grave. `check` gives the flags of a text.
    """
    blocking = policy.judge(flags).blocking
    places = [[(s.start, s.end) for s in f.spans if s.section is Section.DRAFT] for f in blocking]
    if not places or not all(places):
        return None
    sentences = label_sentences(draft)
    kept = [s for s in sentences if not _meets(s.start, s.end, (p for flag in places for p in flag))]
    if not kept or len(kept) == len(sentences):
        return None
    said = [f"{s.label}: {draft[s.start : s.end]}" if s.label else draft[s.start : s.end] for s in kept]
    is_list = bool(_NUMBERED.match(draft)) and len(said) > 1
    text = "\n".join(f"{n}. {item}" for n, item in enumerate(said, 1)) if is_list else " ".join(said)
    left = check(text)
    if policy.judge(left).blocking or any(_is_grave_omission(f) for f in left):
        return None
    return Repair(text=text, flags=left, dropped=len(sentences) - len(kept))


def _is_grave_omission(flag: Flag) -> bool:
    return flag.kind == FlagKind.OMITTED and flag.severity is Severity.CRITICAL


def _meets(start: int, end: int, places: Iterable[tuple[int, int]]) -> bool:
    return any(start < other_end and other_start < end for other_start, other_end in places)
