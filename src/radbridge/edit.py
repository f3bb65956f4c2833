"""What a radiologist made of a draft: the distance and the verdict."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby

from pydantic import AwareDatetime

from radbridge.case import Case
from radbridge.draft import DraftImpression
from radbridge.text import read_words
from radbridge.text.sequences import count_edits, trace_common

REWRITTEN_FROM = 0.5
"""From this distance on the signer wrote the text anew: half of the words or more are others."""
IGNORED_FROM = 0.9
"""From this distance on nothing but chance is in common: the draft was not used."""


class Outcome(StrEnum):
    """What became of a draft at the signer's hands."""

    ACCEPTED = "accepted"
    """Signed with the same words; case, layout and punctuation may differ."""
    EDITED = "edited"
    REWRITTEN = "rewritten"
    IGNORED = "ignored"
    """Nothing of it was used, or it never got to the signer."""
    BLOCKED = "blocked"
    """The guard kept it back: it was wrong or thought so, and the signer has no part in how the texts differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """A draft beside what was signed."""

    id: str
    draft_id: str
    radiologist: str
    """Who signed: the style is theirs, whoever the draft was made for."""
    lora: str
    model: str
    prompt_version: str
    draft: str = field(repr=False)
    signed: str = field(repr=False)
    distance: float
    """Word-level Levenshtein distance over the longer text: 0 the same words, 1 no word in common."""
    outcome: Outcome
    delivered: bool
    """Whether a destination had confirmed the draft before the report was signed."""
    signed_at: AwareDatetime


class Change(StrEnum):
    """What happened to a run of words between draft and signed text."""

    KEEP = "keep"
    DELETE = "delete"
    INSERT = "insert"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Neighbouring words with one fate. A line break counts as a word."""

    change: Change
    words: tuple[str, ...] = field(repr=False)


def compare(case: Case, draft: DraftImpression, *, delivered: bool, blocked: bool = False) -> Edit:
    """What the signer of `case` made of `draft`, or of a `blocked` one would have had to make.

    The same draft and the same signed text give the same id, so that a replayed message makes no second edit.
    Raises ValueError for a case that nobody signed.
    """
    if case.signed_at is None:
        raise ValueError("a case that isn't signed")
    signed = case.report.impression
    distance = measure_distance(draft.text, signed)
    return Edit(
        id=hashlib.sha256(f"{draft.id}\n{signed}".encode()).hexdigest()[:16],
        draft_id=draft.id,
        radiologist=case.signer.id,
        lora=draft.lora,
        model=draft.model,
        prompt_version=draft.prompt_version,
        draft=draft.text,
        signed=signed,
        distance=distance,
        outcome=Outcome.BLOCKED if blocked else judge(distance, delivered=delivered),
        delivered=delivered,
        signed_at=case.signed_at,
    )


def judge(distance: float, *, delivered: bool) -> Outcome:
    """The outcome that `distance` stands for. What never got to the signer was ignored, however alike the texts are."""
    if not delivered or distance >= IGNORED_FROM:
        return Outcome.IGNORED
    if distance >= REWRITTEN_FROM:
        return Outcome.REWRITTEN
    return Outcome.EDITED if distance else Outcome.ACCEPTED


def measure_distance(draft: str, signed: str) -> float:
    """Words inserted, deleted or replaced, over the words of the longer text: 0 to 1."""
    before, after = read_words(draft), read_words(signed)
    longer = max(len(before), len(after))
    return count_edits(before, after) / longer if longer else 0.0


def diff_words(draft: str, signed: str) -> list[Run]:
    """The runs of words that turn `draft` into `signed`: the longest common subsequence is kept.

    Deletions come before insertions in the same place. Time grows with the product of the lengths over the machine's
    word size, with no worst case.
    """
    before, after = _tokens(draft), _tokens(signed)
    steps = list(_walk_back(before, after, trace_common(before, after)))[::-1]
    runs: list[Run] = []
    for kept, stretch in groupby(steps, key=lambda step: step[0] is Change.KEEP):
        words = list(stretch)
        changes = (Change.KEEP,) if kept else (Change.DELETE, Change.INSERT)
        found = (Run(change=c, words=tuple(word for what, word in words if what is c)) for c in changes)
        runs.extend(run for run in found if run.words)
    return runs


def _tokens(text: str) -> list[str]:
    return re.findall(r"\n|\S+", text)


def _walk_back(before: Sequence[str], after: Sequence[str], columns: Sequence[int]) -> Iterable[tuple[Change, str]]:
    """The steps from the end to the beginning."""
    i, j = len(before), len(after)
    while i and j:
        if columns[j] >> (i - 1) & 1:
            i -= 1
            yield Change.DELETE, before[i]
        elif not columns[j - 1] >> (i - 1) & 1:
            j -= 1
            yield Change.INSERT, after[j]
        else:
            i, j = i - 1, j - 1
            yield Change.KEEP, before[i]
    yield from ((Change.DELETE, word) for word in before[:i][::-1])
    yield from ((Change.INSERT, word) for word in after[:j][::-1])
