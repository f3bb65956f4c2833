"""When a generated text is not to be shown, and the coarse one stands in."""

from __future__ import annotations

from collections.abc import Sequence

from radbridge.draft import Flag, Severity
from radbridge.guard import unsupported_words
from radbridge.text import drop_list_numbers, read_words
from radbridge_model_server.engine import Finish, Generated

_SIDES = frozenset({"left", "right", "bilateral"})
_UNFINISHED: dict[Finish, str] = {Finish.REPETITION: "it repeats itself", Finish.LENGTH: "it doesn't end"}


def find_refusal(
    generated: Generated,
    flags: Sequence[Flag],
    *,
    coarse: str | None,
    coarse_flags: Sequence[Flag],
    sources: Sequence[str],
) -> str:
    """Why the text is refused; empty when it is good.

    A rewrite of `coarse` must keep its numbers and sides and add no content of its own. Without a coarse text (None)
    only a text that is no text is refused: what else is wrong with it stands in its flags.
    """
    if not generated.text.strip():
        return "it is empty"
    if coarse is None or generated.finish in _UNFINISHED:
        return _UNFINISHED.get(generated.finish, "")
    worse = {f.kind for f in flags if f.severity is Severity.CRITICAL} - {f.kind for f in coarse_flags}
    faults = {
        "unsupported content": unsupported_words(generated.text, coarse, *sources),
        "a number was lost": _numbers(coarse) - _numbers(generated.text),
        "laterality was changed": _sides(coarse) ^ _sides(generated.text),
        f"the guard objects ({', '.join(sorted(worse))})": worse,
    }
    return next((fault for fault, found in faults.items() if found), "")


def _numbers(text: str) -> set[str]:
    return {word for word in read_words(drop_list_numbers(text)) if word[0].isdigit()}


def _sides(text: str) -> set[str]:
    return {word for word in read_words(text) if word in _SIDES}
