"""Statements of report text: where one ends, and the heading it stood under."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

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
    start: int
    """Where it begins in the text that was split, and where it `end`s; a wrapped one has line breaks in between."""
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Block:
    """Lines that one margin has cut, joined by spaces; `starts` are those of the lines, here and in the text."""

    text: str
    starts: tuple[tuple[int, int], ...]

    def find(self, at: int) -> int:
        """Where the character at `at` stands in the text."""
        here, there = self.starts[bisect_right(self.starts, at, key=lambda pair: pair[0]) - 1]
        return there + at - here


def split_sentences(text: str) -> list[str]:
    """The statements of `text` in order, without list numbers and without the label of a heading (`LUNGS: ...`).

    A full stop inside a number, after an abbreviation or a single letter doesn't end a statement. A line break does
    where the line before it was complete or the next begins like a new statement.
    """
    return [s.text for s in label_sentences(text)]


def label_sentences(text: str) -> list[Sentence]:
    """`split_sentences` with the label of the heading that each statement stands under, and where it stands."""
    sentences: list[Sentence] = []
    for block in _join_wrapped(text):
        label = ""
        for start, end in _cut(block.text):
            named, start_said = _pass_heading(block.text, start, end)
            label = named or label
            said = block.text[start_said:end]
            if _SAYS_SOMETHING.search(said):
                first = start_said + len(said) - len(said.lstrip())
                last = end - len(said) + len(said.rstrip()) - 1
                where = {"start": block.find(first), "end": block.find(last) + 1}
                sentences.append(Sentence(text=" ".join(said.split()), label=label, **where))
    return sentences


def _pass_heading(block: str, start: int, end: int) -> tuple[str, int]:
    """The heading that a statement begins with, if any, and where what it says begins."""
    number = _NUMBERED.match(block[start:end])
    said = start + (number.end() if number else 0)
    if match := _LABEL.match(block[said:end].rstrip()):
        return match["label"].strip(), said + match.end()
    return "", said


def _join_wrapped(text: str) -> list[_Block]:
    """The lines of `text`, wrapped ones joined."""
    blocks: list[list[tuple[str, int]]] = []
    broken, at = False, 0
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        start = at + len(line) - len(line.lstrip())
        at += len(line)
        if not bare:
            broken = True
        elif blocks and not broken and _goes_on(blocks[-1][-1][0], bare):
            blocks[-1].append((bare, start))
        else:
            blocks.append([(bare, start)])
            broken = False
    return [_join(lines) for lines in blocks]


def _join(lines: list[tuple[str, int]]) -> _Block:
    here = accumulate((len(line) + 1 for line, _ in lines), initial=0)
    return _Block(
        text=" ".join(line for line, _ in lines),
        starts=tuple(zip(here, (start for _, start in lines), strict=False)),
    )


def _goes_on(line: str, after: str) -> bool:
    """Whether `after` is the same statement as `line`, cut by a margin and not by its author."""
    if _UNFINISHED.search(line):
        return True
    return line[-1] not in ".?!:;" and (after[0].islower() or after[0].isdigit()) and not _NUMBERED.match(after)


def _cut(block: str) -> list[tuple[int, int]]:
    pieces: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(block):
        end = match.end()
        if end <= start or _is_inside(block, start, match):
            continue
        pieces.append((start, end))
        start = end
    pieces.append((start, len(block)))
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
