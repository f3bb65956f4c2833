"""What of a style is layout: which sentences, in which order, with which marks. No sentence is changed here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from radbridge_training.synth.persona import NAMED, NEUTRAL, Order, Persona
from radbridge_training.synth.style import uncapitalize
from radbridge_training.synth.wording import is_advice, is_denial, reword


def rewrite(statements: Sequence[str], persona: Persona | str, places: Sequence[int] = ()) -> str:
    """The impression that says `statements`, the weightiest first, as `persona` (or the one so named) writes it.

    `places` are where they stood in the findings, for a persona that keeps to that order; their own order without.
    """
    style = persona if isinstance(persona, Persona) else (NAMED | {NEUTRAL.name: NEUTRAL})[persona]
    said = [s for s in arrange(statements, style, places) if s.strip(" .")]
    return lay_out([reword(s, style) for s in said], style)


def arrange(statements: Sequence[str], persona: Persona, places: Sequence[int] = ()) -> list[str]:
    """Those of `statements` that `persona` says, in the persona's order. Nothing abnormal is ever left out."""
    numbered = list(zip(places or range(len(statements)), statements, strict=True))
    if persona.order is Order.DICTATED:
        numbered.sort()
    if persona.order is Order.DENIALS_LAST:
        numbered.sort(key=lambda pair: is_denial(pair[1]))
    said = [s for _, s in numbered]
    kept = [s for s in said if persona.keeps_advice or not is_advice(s)] or said
    return [s for s in kept if persona.keeps_denials or not is_denial(s)] or kept


def lay_out(sentences: Sequence[str], persona: Persona) -> str:
    """The text of these sentences: joined, marked, framed by opening and closing."""
    items = list(_join(sentences)) if persona.joins_denials else list(sentences)
    marked = [f"{persona.marker.format(n)} {item}" if persona.marker else item for n, item in enumerate(items, 1)]
    between = "\n" if persona.marker else " "
    text = between.join(part for part in (persona.opening, *marked, persona.closing) if part)
    return text.upper() if persona.capitals else text


def _join(sentences: Sequence[str]) -> Iterator[str]:
    """`No A.` and `No B.` as `No A, and no B.`; what isn't a plain negative stands alone."""
    before = ""
    for sentence in sentences:
        if before.startswith("No ") and sentence.startswith("No ") and ", and no " not in before:
            before = f"{before.rstrip('.')}, and {uncapitalize(sentence)}"
            continue
        if before:
            yield before
        before = sentence
    if before:
        yield before
