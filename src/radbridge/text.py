"""Sentences and words of report text: the one place where RadBridge decides what a statement and a word are."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

_LABEL = re.compile(
    r"^\s*(?P<label>[CTLS]\d{1,2}\s?[-/–]\s?[CTLS]?\d{1,2}(?=[.:]\s)"
    r"|[A-Z][A-Z0-9 /,&()'-]{1,48}(?=:)|[A-Z][a-z]+(?: [A-Za-z]+){0,3}(?=:))[.:]\s+(?=\S)"
)
_NUMBERED = re.compile(r"^\s*(?:\(?\d{1,2}[.)](?!\d)|[-*•·–])\s*")
_LIST_NUMBER = re.compile(r"(?:^|(?<=[.;:?!\n])\s*|\n\s*)\(?\d{1,2}[.)](?=\s+[^\W\d_])")
_END = re.compile(r"[.?!]+[\"')\]]*(?=\s|$)|\n\s*\n|(?<=\s)(?=\d{1,2}[.)]\s+[A-Z])")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:drs?|mrs?|ms|prof|st|vs|approx|figs?|e\.g|i\.e|cf|pt|pts|incl|dr\. [a-z]|[CTLS]\d{1,2}\s?[-/–]\s?[CTLS]?\d{1,2})$",
    re.IGNORECASE,
)
_UNFINISHED = re.compile(
    r"(?:,|-|\b(?:an?|the|of|in|on|at|to|and|or|with|without|no|is|are|left|right|for|by|from))$", re.IGNORECASE
)
_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+\d*")
_LEVEL_RANGE = re.compile(r"\b([CTLS])(\d{1,2})\s?[-/–]\s?(\d{1,2})\b")

FUNCTION_WORDS = frozenset(
    """a an the this that these those there here it its he she his her him they them their we our i you your is are was
    were be been being am has have had having do does did doing can could may might must shall should will would of in
    on at by for to from with into onto within without upon over under above below between among through during before
    after about along across around near off out up down as than then so and or nor but if because while although
    though however which who whom whose what when where how why also both either neither each any all some such no not
    only own same other another very too just more most again further per via due versus vs x""".split()
)

# Latin plurals and adjectives whose noun a suffix rule doesn't find.
_IRREGULAR = {
    "apices": "apex", "bases": "base", "bullae": "bulla", "bursae": "bursa", "calculi": "calculus", "emboli": "embolus",
    "foci": "focus", "ganglia": "ganglion", "hila": "hilum", "menisci": "meniscus", "nuclei": "nucleus",
    "thrombi": "thrombus", "varices": "varix", "vertebrae": "vertebra", "bronchi": "bronchus", "atria": "atrium",
    "diverticula": "diverticulum", "septa": "septum", "fistulae": "fistula", "series": "series", "bony": "bone",
    "emphysematous": "emphysema", "hemorrhagic": "hemorrhage", "edematous": "edema", "embolic": "embolus",
    "embolism": "embolus", "dilatation": "dilate", "dilation": "dilate", "enlargement": "enlarge",
    "thrombosis": "thrombus", "thrombotic": "thrombus", "thrombosed": "thrombus", "compression": "compress",
    "effacement": "efface", "ischemic": "ischemia", "infarction": "infarct", "elevation": "elevate",
    "nodular": "nodule", "nodularity": "nodule", "tortuosity": "tortuous", "abnormality": "abnormal",
    "hyperinflation": "hyperinflate", "hypoinflation": "hypoinflate", "herniation": "hernia", "herniated": "hernia",
    "obstructive": "obstruct", "obstruction": "obstruct", "protrusion": "protrude", "perforation": "perforate",
    "inflammatory": "inflame", "inflammation": "inflame", "distention": "distend", "distension": "distend",
    "torsed": "torsion", "impaction": "impact", "malignancy": "malignant", "degeneration": "degenerate",
    "degenerative": "degenerate", "calcific": "calcify", "cystic": "cyst", "prominence": "prominent",
    "lucent": "lucency", "patency": "patent", "aneurysmal": "aneurysm", "granulomatous": "granuloma",
    "osteopenic": "osteopenia", "arthritic": "arthritis", "osteoarthritic": "osteoarthritis", "tumoral": "tumor",
    "kyphotic": "kyphosis", "subluxed": "subluxation", "dislocated": "dislocation", "displacement": "displace",
    "reduction": "reduce", "narrowing": "narrow", "swelling": "swell", "collapsed": "collapse",
}  # fmt: skip
_SUFFIXES = (
    ("ifications", "ify"), ("ification", "ify"), ("ified", "ify"), ("ifying", "ify"), ("otic", "osis"), ("oses", "osis"),
    ("static", "stasis"), ("stases", "stasis"), ("ities", "ity"), ("ies", "y"), ("sses", "ss"), ("xes", "x"),
    ("aces", "ax"), ("ches", "ch"), ("shes", "sh"),
)  # fmt: skip
_BRITISH = (("haem", "hem"), ("oedem", "edem"), ("oesoph", "esoph"), ("tumour", "tumor"), ("ischaem", "ischem"))


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
            piece = _NUMBERED.sub("", piece, count=1).strip()
            if match := _LABEL.match(piece):
                label, piece = match["label"].strip(), piece[match.end() :]
            if re.search(r"\w", piece):
                sentences.append(Sentence(text=" ".join(piece.split()), label=label))
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


@lru_cache(maxsize=1 << 15)
def stem(word: str) -> str:
    """The form that inflections of one word share: `effusions` and `effusion`, `enlarged` and `enlargement`."""
    word = word.lower()
    for british, american in _BRITISH:
        if british in word:
            word = word.replace(british, american)
    word = _IRREGULAR.get(word) or _IRREGULAR.get(singular := _singular(word), singular)
    for suffix in ("ly", "ing", "ed"):
        if word.endswith(suffix) and len(word) > len(suffix) + 3:
            word = word[: -len(suffix)]
            break
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


def _singular(word: str) -> str:
    for suffix, instead in _SUFFIXES:
        if word.endswith(suffix) and len(word) > len(suffix) + 2:
            return word[: -len(suffix)] + instead
    plural = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if plural else word


def read_words(text: str) -> list[str]:
    """Every word and number of `text`, lower-cased, in order. `L4-5` reads as `l4`, `l5`."""
    if "-" in text or "/" in text or "–" in text:
        text = _LEVEL_RANGE.sub(r"\1\2 \1\3", text)
    return [w.lower() for w in _WORD.findall(text)]


def content_words(text: str) -> list[str]:
    """The words of `text` that carry content, stemmed, in order, repetitions kept; numbers are words."""
    return [stem(w) for w in read_words(text) if w not in FUNCTION_WORDS]


def drop_list_numbers(text: str) -> str:
    """`text` without the `1.` that begins an item of a list."""
    return _LIST_NUMBER.sub(" ", text)
