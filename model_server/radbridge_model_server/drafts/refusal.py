"""When a generated text is not to be shown."""

from __future__ import annotations

from collections.abc import Sequence

from radbridge.draft import Flag, FlagKind, Severity
from radbridge_model_server.engines.engine import Finish, Generated

_ADDED = frozenset((Severity.WARNING, kind) for kind in FlagKind if kind is not FlagKind.OMITTED)
_UNFINISHED: dict[Finish, str] = {Finish.REPETITION: "it repeats itself", Finish.LENGTH: "it doesn't end"}
_OBJECTIONABLE = frozenset({FlagKind.INSTRUCTION})
"""Kinds of flag that cost a text its place though they are only warnings: the coarse text says the same without."""


def find_refusal(generated: Generated) -> str:
    """Why a generated text is no text; empty when it is one."""
    return "it is empty" if not generated.text.strip() else _UNFINISHED.get(generated.finish, "")


def find_objection(flags: Sequence[Flag], coarse_flags: Sequence[Flag]) -> str:
    """What the guard has against a text and not against the coarse one; empty when there is nothing grave."""
    grave = {f.kind for f in flags if f.severity is Severity.CRITICAL or f.kind in _OBJECTIONABLE}
    return _object(grave - {f.kind for f in coarse_flags})


def find_addition(flags: Sequence[Flag], coarse_flags: Sequence[Flag]) -> str:
    """What a text that is written freely says for the worse, finding by finding; empty when it is nothing.

    Signed reports of others were in view: whatever the guard warns of and didn't in the coarse text may be from there.
    Only that it leaves out something that isn't grave is the writer's own affair.
    """
    before = {(f.kind, f.message) for f in coarse_flags}
    told = (f for f in flags if f.severity is Severity.CRITICAL or (f.severity, f.kind) in _ADDED)
    return _object({f.kind for f in told if (f.kind, f.message) not in before})


def _object(kinds: set[str]) -> str:
    return f"the guard objects ({', '.join(sorted(kinds))})" if kinds else ""
