"""Statements of report text: where one ends, and the heading it stood under."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_CHARS = 60_000
"""What a stage or a check reads of one text: longer than any report, and its answer must come in time."""
_LABEL = re.compile(
    r"^\s*(?P<label>[CTLS]\d{1,2}\s?[-/–]\s?[CTLS]?\d{1,2}(?=[.:]\s)"
    r"|[A-Z][A-Z0-9 /,&()'-]{1,48}(?=:)|[A-Z][a-z]+(?: [A-Za-z]+){0,3}(?=:))[.:]\s+(?=\S)"
)
_SAYS_SOMETHING = re.compile(r"[^\W_]")
_NUMBERED = re.compile(r"^\s*(?:\(?\d{1,2}[.)](?!\d)|[-*•·–])\s*")
_LIST_NUMBER = re.compile(
    r"(?:^[ \t]*|(?<=\n))\(?\d{1,2}[.)](?=\s+\w)|(?<=[.;:?!\n])[ \t]+\(?\d{1,2}[.)](?=\s+[^\W\d_])"
)
_END = re.compile(r"[.?!]+[\"')\]]*(?=\s|$)|(?<=[;:]\s)(?=\d{1,2}\.\s+[A-Z])|(?<=\s)(?=\d{1,2}\)\s+[A-Z])")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:drs?|mrs?|ms|prof|st|vs|approx|figs?|e\.g|i\.e|cf|pt|pts|incl|dr\. [a-z]"
    r"|[CTLS]\d{1,2}\s?[-/–]\s?[CTLS]?\d{1,2})$",
    re.IGNORECASE,
)
_UNFINISHED = re.compile(
    r"(?:,|-|\b(?:an?|the|of|in|on|at|to|and|or|with|without|no|is|are|left|right|for|by|from))$", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """One statement, with the heading it stood under (`LUNGS`), which is empty where there was none."""

    text: str = field(repr=False)
    label: str = ""


def split_sentences(text: str) -> list[str]:
    """The statements of `text` in order, without list numbers and without the label of a heading (`LUNGS: ...`).

    A full stop inside a number, after an abbreviation or a single letter doesn't end a statement. A line break does
    where the line before it was complete or the next begins like a new statement.
    """
    return [s.text for s in label_sentences(text)]


def label_sentences(text: str) -> list[Sentence]:
    """`split_sentences` with the label of the heading that each statement stands under."""
    sentences: list[Sentence] = []
    for block in _join_wrapped(text):
        label = ""
        for piece in _cut(block):
            said = _NUMBERED.sub("", piece, count=1).strip()
            if match := _LABEL.match(said):
                label, said = match["label"].strip(), said[match.end() :]
            if _SAYS_SOMETHING.search(said):
                sentences.append(Sentence(text=" ".join(said.split()), label=label))
    return sentences


def _join_wrapped(text: str) -> list[str]:
    """The lines of `text`, wrapped ones joined."""
    blocks: list[list[str]] = []
    broken = False
    for line in text.splitlines():
        bare = line.strip()
        if not bare:
            broken = True
        elif blocks and not broken and _goes_on(blocks[-1][-1], bare):
            blocks[-1].append(bare)
        else:
            blocks.append([bare])
            broken = False
    return [" ".join(lines) for lines in blocks]


def _goes_on(line: str, after: str) -> bool:
    """Whether `after` is the same statement as `line`, cut by a margin and not by its author."""
    if _UNFINISHED.search(line):
        return True
    return line[-1] not in ".?!:;" and (after[0].islower() or after[0].isdigit()) and not _NUMBERED.match(after)


def _cut(block: str) -> list[str]:
    pieces: list[str] = []
    start = 0
    for match in _END.finditer(block):
        end = match.end()
        if end <= start or _is_inside(block, start, match):
            continue
        pieces.append(block[start:end])
        start = end
    pieces.append(block[start:])
    return pieces


def _is_inside(block: str, start: int, match: re.Match[str]) -> bool:
    """Whether a full stop belongs to an abbreviation or a list number."""
    if match.group()[:1] != ".":
        return False
    before = block[max(start, match.start() - 12) : match.start()]
    if re.fullmatch(r"\s*\(?\d{1,2}", before) and match.start() - start < 12:
        return True
    return bool(_ABBREVIATION.search(before))


def drop_list_numbers(text: str) -> str:
    """`text` without the `1.` that begins an item of a list."""
    return _LIST_NUMBER.sub(" ", text)
