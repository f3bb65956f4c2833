"""The last word on a draft, whoever wrote it: what a reader should know of it, and whether it may go out.

The model server checks drafts too, to choose between its stages. But it may be somebody else's or an older one, and it
never learns whose case it is. What goes out is held to its case here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from radbridge.case import Case
from radbridge.contradictions import find_contradictions
from radbridge.draft import DraftImpression, Flag, FlagKind, Severity
from radbridge.guard import Guard
from radbridge.guard.identifiers import check_identifiers
from radbridge.guard.policy import GuardPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What was found of a draft."""

    draft: DraftImpression
    """With the flags that travel."""
    found: tuple[Flag, ...] = ()
    """Every flag, those too that the site ignores."""
    blocked: str = ""
    """Why the draft is kept back; empty when it may go out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """A site's guard. `lexicon` are files of its own words."""

    policy: GuardPolicy
    lexicon: tuple[Path, ...] = ()

    def judge(self, case: Case, draft: DraftImpression) -> Verdict:
        """Hold a draft to its case. It takes milliseconds of a processor: keep it off the event loop."""
        guard = Guard(
            case.report.findings,
            indication=case.indication,
            comparison=case.compared_with,
            sex=case.patient.sex,
            modality=case.study.modality,
            age=case.age,
            lexicon=self.lexicon,
        )
        identifiers = check_identifiers(
            draft.text, patient=case.patient, numbers=(case.key.accession, case.order.placer, case.order.filler)
        )
        machines = guard.check_machines(case.measured, side=case.side, body_part=case.study.body_part)
        own = (*_contradict(case), *guard.check(draft.text), *machines, *identifiers)
        found = tuple(dict.fromkeys((*own, *_not_told(draft.flags, own))))
        judgement = self.policy.judge(found)
        return Verdict(draft=replace(draft, flags=judgement.flags), found=found, blocked=judgement.reason)


def _contradict(case: Case) -> list[Flag]:
    """One flag for each contradiction between the order and the images: it is about no place in a text."""
    return [
        Flag(
            kind=FlagKind.CONTRADICTION,
            message=found.message,
            severity=Severity.CRITICAL if found.grave else Severity.WARNING,
        )
        for found in find_contradictions(case)
    ]


def _not_told(flags: Sequence[Flag], own: Sequence[Flag]) -> list[Flag]:
    """What the model server found and the guard here didn't say in the same words."""
    told = {(flag.kind, flag.message) for flag in own}
    return [flag for flag in flags if (flag.kind, flag.message) not in told]
