"""Makes a statement short without changing what it says: lead-ins, tails and image numbers go."""

from __future__ import annotations

import re
from functools import cache

from radbridge.coarse.cues import load_cues
from radbridge.coarse.places import loses_place

_ASIDE = re.compile(r"\s*\((?:[^()]*\b(?:image|images|series|slice|img|se)\b[^()]*|see above|arrow)\)?", re.IGNORECASE)
_SEEN = re.compile(
    r"\s+(?:is|are|was|were)\s+(?:also\s+|again\s+)?"
    r"(?:seen|noted|identified|present|visualized|demonstrated|appreciated|observed|evident)(?=\s+(?:in|within|at|along|on"
    r"|of|over|overlying|involving|throughout|near|about|adjacent|measuring|with|to|as|extending)\b)",
    re.IGNORECASE,
)
_VIEWS = re.compile(
    r"^[^.;]{0,120}?\b(?:views?|images?|films?|windows?|sequences?|radiographs?|examination|exam|ultrasound|ct|mri?|doppler)\b"
    r"[^.;]{0,100}?(?<!not )(?<!to )\b(?:shows?|reveals?|demonstrates?|revealed|showed)\s+(?:that\s+)?(?=\w)",
    re.IGNORECASE,
)
_SPACE_BEFORE = re.compile(r"\s+(?=[.,;])")
_DENIED_TAIL = re.compile(
    r",?\s+(?:without|with no)\s+"
    r"(?:(?:evidence|definite|significant|discrete|associated|any|frank|signs?|convincing|focal|acute|superimposed)\b\s*)+"
    r"(?:of|for)?(?P<denied>[^.;]*)$",
    re.IGNORECASE,
)
_SHORT = 4
_MORE = re.compile(r"\b(?:and|with|but|which|while|that|although|however|is|are|may)\b", re.IGNORECASE)


def compress(text: str) -> str:
    """`text` as a line of an impression: shorter, a capital first, a full stop last."""
    short = _shorter(_ASIDE, text.strip(" \t.;,"))
    for pattern in (_VIEWS, _lead_ins(), _lead_ins(), _tails()):
        short = _shorter(pattern, short)
    return finish(_SEEN.sub("", short, count=1))


def drop_denied_tail(text: str) -> str:
    """`text` without what it denies at its end: `..., without evidence of effusion`."""
    match = _DENIED_TAIL.search(text)
    return finish(_shorter(_DENIED_TAIL, text)) if match and not _MORE.search(match["denied"]) else text


def finish(text: str) -> str:
    """`text` with a capital first and one full stop last; empty stays empty."""
    text = _SPACE_BEFORE.sub("", " ".join(text.split())).strip(" .,;")
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _shorter(pattern: re.Pattern[str], text: str) -> str:
    """`text` without what `pattern` finds, unless too little is left or a side or a level goes with it."""
    shorter = pattern.sub("", text, count=1).strip(" .,;")
    too_little = len(shorter.split()) <= 1 and (not shorter or len(text.split()) >= _SHORT)
    return text if too_little or loses_place(text, shorter) else shorter


@cache
def _lead_ins() -> re.Pattern[str]:
    return re.compile(
        rf"^(?:{'|'.join(map(re.escape, load_cues().lead_ins))}|the)\b,?\s+(?:an?\s+|the\s+)?", re.IGNORECASE
    )


@cache
def _tails() -> re.Pattern[str]:
    return re.compile(
        rf"(?<!\bnot)(?<!\bbe)(?<!\bbeen)\s+(?:{'|'.join(map(re.escape, load_cues().tails))})$", re.IGNORECASE
    )
