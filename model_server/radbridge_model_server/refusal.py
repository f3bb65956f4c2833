"""When a generated text is not to be shown, and the coarse one stands in."""

from __future__ import annotations

from collections.abc import Sequence

from radbridge.draft import Flag, Severity
from radbridge.guard import find_fault
from radbridge_model_server.engine import Finish, Generated

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

    A rewrite of `coarse` must say what it says (`radbridge.guard.find_fault`). Without a coarse text (None) only a text
    that is no text is refused: what else is wrong with it stands in its flags.
    """
    if not generated.text.strip():
        return "it is empty"
    if coarse is None or generated.finish in _UNFINISHED:
        return _UNFINISHED.get(generated.finish, "")
    worse = {f.kind for f in flags if f.severity is Severity.CRITICAL} - {f.kind for f in coarse_flags}
    objection = f"the guard objects ({', '.join(sorted(worse))})" if worse else ""
    return find_fault(generated.text, coarse, *sources) or objection
