"""One statement in a persona's words: by rules that look at how it is built, whatever it speaks of."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from radbridge.guard import find_fault
from radbridge_training.synth.persona import Framing, Persona
from radbridge_training.synth.style import (
    agree,
    is_fragment,
    shorten,
    spell_out,
    split_head,
    tidy,
    uncapitalize,
)
from radbridge_training.synth.words import load_table

_DENIES = re.compile(r"^(?:There (?:is|are|was) )?(?:no|without|negative for)\b", re.IGNORECASE)
_DENIAL = re.compile(
    r"^(?:There (?:is|are) )?(?:no|without|negative for)(?: evidence (?:of|for))? (?P<what>[^.;:]+?)"
    r"(?: (?:is|are)? ?(?:seen|noted|identified|present))?$",
    re.IGNORECASE,
)
_ADVICE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"^(?:Recommend|Suggest) (?P<what>[^.;]+?)(?P<when> in \d+ \w+)?$",
        r"^(?P<what>[^.;]+?) (?:is |are |)(?:recommended|suggested|advised)(?P<when> in \d+ \w+)?$",
    )
)
_ADVISES = re.compile(
    r"^(?:recommend|suggest|consider|correlate|correlation|assessment|findings were discussed)\b"
    r"|\b(?:recommended|advised|could be considered|(?:is|are|evaluation .*) suggested)\b",
    re.IGNORECASE,
)
_TIMES = re.compile(r"(?<=\d) (?:x|by) (?=\d)")
_ARTICLES = re.compile(r"(?<!^)\b(?:the|an?) (?=[a-z0-9])", re.IGNORECASE)
_JOINT = re.compile(r" (?:of|to(?= (?:mild|moderate|severe|marked)\b)) ")
_PLACE_FIRST = re.compile(r"^(?:In|At|Within|On|Along|Near) ")
_IS = re.compile(
    r" (?:is|are) (?=(?:seen|noted|identified|present|demonstrated|unchanged|stable|recommended|suggested)\b)"
)


def is_denial(statement: str) -> bool:
    """Whether all that `statement` does is deny."""
    return bool(_DENIES.match(statement))


def is_advice(statement: str) -> bool:
    """Whether `statement` recommends something."""
    return bool(_ADVISES.search(statement))


def reword(statement: str, persona: Persona) -> str:
    """`statement` as `persona` words it; as it was, where the guard wouldn't hold the two for the same."""
    clean = tidy(statement)
    worded = tidy(_swap_phrases(_reframe(clean, persona), persona))
    if persona.telegraphic:
        worded = tidy(_IS.sub(" ", _ARTICLES.sub("", worded)))
    return clean if find_fault(worded, clean) else worded


def _reframe(clean: str, persona: Persona) -> str:
    bare = clean.rstrip(".")
    if is_denial(clean):
        return _deny(bare, persona) if persona.denial else _FRAMES[persona.framing](clean, persona)
    if persona.advice and is_advice(clean):
        return _advise(bare, persona)
    return _FRAMES[persona.framing](clean, persona)


def _deny(bare: str, persona: Persona) -> str:
    match = _DENIAL.match(bare)
    if not match:
        return bare
    what = match["what"]
    is_simple = "," not in what and is_fragment(what)
    frame = persona.denial if is_simple or persona.denial.endswith("{}.") else "No {}."
    return frame.format(what)


def _advise(bare: str, persona: Persona) -> str:
    for pattern in _ADVICE:
        if match := pattern.match(bare):
            what, when = match["what"], match["when"] or ""
            imperative = persona.advice.endswith("{}.")
            said = f"{uncapitalize(what)}{when}" if imperative else what
            return persona.advice.format(said).rstrip(".") + ("" if imperative else when)
    return bare


def _frame_verb(clean: str, persona: Persona) -> str:
    """`A nodule is noted in the lung.`: the verb stands before the first preposition, or last."""
    short = shorten(clean).rstrip(".")
    if not is_fragment(short) or _PLACE_FIRST.match(short):
        return clean
    head, rest = split_head(short)
    while joint := _JOINT.match(rest):
        more, rest = split_head(rest[joint.end() :])
        head = f"{head}{joint[0]}{more}"
    if rest.startswith((",", " and ", " or ")) or head.endswith(","):
        return short
    return f"{head} {agree(head)} {persona.seen}{rest}"


_FRAMES: dict[Framing, Callable[[str, Persona], str]] = {
    Framing.DICTATED: lambda clean, persona: clean,
    Framing.BARE: lambda clean, persona: shorten(clean),
    Framing.FULL: lambda clean, persona: spell_out(clean),
    Framing.EXISTS: lambda clean, persona: clean if _PLACE_FIRST.match(clean) else spell_out(shorten(clean)),
    Framing.VERB: _frame_verb,
}


def _swap_phrases(text: str, persona: Persona) -> str:
    """`text` with the persona's phrase wherever one of the same meaning stands."""
    for axis, pattern in _phrases().items():
        if chosen := getattr(persona, axis):
            text = pattern.sub(chosen, text)
    return _TIMES.sub(f" {persona.times} ", text) if persona.times else text


@cache
def _phrases() -> dict[str, re.Pattern[str]]:
    return {
        axis: re.compile(rf"\b(?:{'|'.join(sorted(forms, key=len, reverse=True))})\b")
        for axis, forms in load_table("same").items()
    }
