"""Words of report text, and the form that inflections of one word share."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+\d*")
_LOCATED = re.compile(r"\b(?P<level>[CTLS])(?P<first>\d{1,2})\s?[-/–]\s?(?P<last>\d{1,2})\b|\d+(?:\.\d+)?|[^\W\d_]+\d*")
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
    "testes": "testis", "occluded": "occlusion", "occlusive": "occlusion",
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
    ("ifications", "ify"), ("ification", "ify"), ("ified", "ify"), ("ifying", "ify"), ("otic", "osis"),
    ("oses", "osis"), ("static", "stasis"), ("stases", "stasis"), ("ities", "ity"), ("ies", "y"),
    ("sses", "ss"), ("xes", "x"), ("aces", "ax"), ("ches", "ch"), ("shes", "sh"),
)  # fmt: skip
_BRITISH = (("haem", "hem"), ("oedem", "edem"), ("oesoph", "esoph"), ("tumour", "tumor"), ("ischaem", "ischem"))


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


def locate_words(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """`read_words`, and where each word begins and ends in `text`."""
    if "-" not in text and "/" not in text and "–" not in text:
        matches = list(_WORD.finditer(text))
        return [m[0].lower() for m in matches], [m.span() for m in matches]
    words: list[str] = []
    places: list[tuple[int, int]] = []
    for match in _LOCATED.finditer(text):
        if level := match["level"]:
            words += [f"{level}{match['first']}".lower(), f"{level}{match['last']}".lower()]
            places += [(match.start(), match.end("first")), match.span("last")]
        else:
            words.append(match[0].lower())
            places.append(match.span())
    return words, places


def content_words(text: str) -> list[str]:
    """The words of `text` that carry content, stemmed, in order, repetitions kept; numbers are words."""
    return [stem(w) for w in read_words(text) if w not in FUNCTION_WORDS]
