"""One signed report, read for what it tells of its signer's habits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from radbridge.coarse import Kind, Statement
from radbridge.style.framing import is_frame
from radbridge.style.kinds import is_denial
from radbridge.text import label_sentences

JOINT = ", and no "
_MARKER = re.compile(r"^(?:\d{1,2}(?P<after>[.)])|(?P<bullet>[-•*–]))\s+(?=\S)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """What one report tells. None where it tells nothing of a habit."""

    sentences: tuple[str, ...] = field(repr=False)
    """Without list marks, opening and closing; never in capitals only."""
    opening: str
    closing: str
    marker: str
    """Before each item, with `{}` for its number; empty for prose."""
    capitals: bool
    denials_last: bool | None
    """Whether denials stood behind all else, where there was something else."""
    joins_denials: tuple[bool, ...]
    """One for each place where two denials met."""
    denials_alone: int | None
    """How many things were denied where there was nothing else to say."""
    denials_beside: int | None
    """How many beside findings."""


def read_signed(impression: str, coarse: Sequence[Statement]) -> Signed:
    """Reads a signed impression beside the coarse statements of the findings that it was signed for."""
    opening, said, closing = _read_body(impression)
    plain = [is_plain(s) for s in coarse]
    denied = sum(is_denial(s) + (JOINT in s.lower()) for s in said)
    return Signed(
        sentences=tuple(s.capitalize() if s.isupper() else s for s in said),
        opening=opening,
        closing=closing,
        marker=_read_marker(impression),
        capitals=impression.isupper(),
        denials_last=_read_denials_last(said),
        joins_denials=tuple(_read_joins(said)),
        denials_alone=len(said) + sum(JOINT in s.lower() for s in said) if said and plain and all(plain) else None,
        denials_beside=denied if said and not all(plain) else None,
    )


def is_plain(statement: Statement) -> bool:
    """Whether a statement of the findings only denies something, or calls it normal."""
    return statement.kind in {Kind.ANSWER, Kind.NORMAL}


def _read_body(impression: str) -> tuple[str, list[str], str]:
    """Opening, sentences, closing. What stands alone is a sentence."""
    sentences = label_sentences(impression)
    said = [s.text for s in sentences]
    opening = closing = ""
    if sentences and sentences[0].label and is_frame(sentences[0].label):
        opening = f"{sentences[0].label}:"
    elif len(said) > 1 and is_frame(said[0]):
        opening = said.pop(0)
    if len(said) > 1 and is_frame(said[-1]):
        closing = said.pop()
    return opening, said, closing


def _read_marker(impression: str) -> str:
    for line in impression.splitlines():
        if mark := _MARKER.match(line.strip()):
            return mark["bullet"] or "{}" + mark["after"]
    return ""


def _read_denials_last(said: Sequence[str]) -> bool | None:
    denies = [is_denial(s) for s in said]
    return denies == sorted(denies) if any(denies) and not all(denies) else None


def _read_joins(said: Sequence[str]) -> Iterator[bool]:
    yield from (True for sentence in said if JOINT in sentence.lower())
    yield from (False for a, b in pairwise(said) if is_denial(a) and is_denial(b))
