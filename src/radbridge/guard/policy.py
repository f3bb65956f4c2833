"""The site's policy: which flags keep a draft back, which travel with it, which are dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from radbridge.config import Action
from radbridge.draft import Flag, FlagKind, Severity

BLOCKING_KINDS = frozenset(
    (
        FlagKind.LATERALITY,
        FlagKind.NEGATION,
        FlagKind.MEASUREMENT,
        FlagKind.SEX_OR_AGE,
        FlagKind.CONTRADICTION,
        FlagKind.IDENTIFIER,
    )
)
"""Kinds whose critical flags block unless the site says otherwise: a reader may take such an error for the truth."""
_KNOWN = frozenset(FlagKind)
_GRAVEST_FIRST = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What becomes of a draft with certain flags."""

    flags: tuple[Flag, ...] = ()
    """The flags that are shown and travel, gravest first, the blocking ones among them."""
    blocking: tuple[Flag, ...] = ()
    """Those that keep the draft back; empty: it may go out."""

    @property
    def reason(self) -> str:
        """Why the draft is kept back, in words that may be logged; empty when it isn't."""
        kinds = dict.fromkeys(name_kind(flag) for flag in self.blocking)
        return f"kept back by the guard: {', '.join(kinds)}" if kinds else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardPolicy:
    """The defaults, and over them what a site says in `[guard.policy]`."""

    site: Mapping[FlagKind, Mapping[Severity, Action]] = field(default_factory=dict)

    def action_of(self, flag: Flag) -> Action:
        """What is done about one flag. A kind that this version doesn't know travels."""
        if flag.kind not in _KNOWN:
            return Action.FLAG
        kind = FlagKind(flag.kind)
        grave = flag.severity is Severity.CRITICAL and kind in BLOCKING_KINDS
        return self.site.get(kind, {}).get(flag.severity, Action.BLOCK if grave else Action.FLAG)

    def judge(self, flags: Iterable[Flag]) -> Judgement:
        """What becomes of a draft with these flags."""
        kept = sorted(
            (f for f in flags if self.action_of(f) is not Action.IGNORE), key=lambda f: _GRAVEST_FIRST[f.severity]
        )
        blocking = tuple(f for f in kept if self.action_of(f) is Action.BLOCK)
        return Judgement(flags=tuple(kept), blocking=blocking)


def name_kind(flag: Flag) -> str:
    """The kind as a metric or a log may hold it: one of the words that this version knows, else `other`."""
    return flag.kind if flag.kind in _KNOWN else "other"
