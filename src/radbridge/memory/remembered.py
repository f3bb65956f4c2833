"""What the style memory keeps of a signed report: two de-identified texts, under a number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from radbridge.assemble import Consequences
from radbridge.case import Case, CaseState, Patient
from radbridge.contradictions import find_grave
from radbridge.deidentify import scrub
from radbridge.events import CaseEvent, ReportDictated, ReportOpened, ReportSigned
from radbridge.example import MAX_EXAMPLE_CHARS, StyleExample
from radbridge.memory.wording import keep_style


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """A signed report without its patient."""

    number: int
    signer: str
    findings: str = field(repr=False)
    impression: str = field(repr=False)

    @property
    def example(self) -> StyleExample:
        """The report as a model server gets it. Its name tells nobody whose it is."""
        return StyleExample(id=name_of(self.number), findings=self.findings, impression=self.impression)


def name_of(number: int) -> str:
    """What a report is called outside: `m17`."""
    return f"m{number}"


def number_of(name: str) -> int | None:
    """The number of a name; None for what isn't one of ours."""
    digits = name.removeprefix("m")
    return int(digits) if name != digits and digits.isascii() and digits.isdigit() else None


class Change(StrEnum):
    """What a change of a case means to the memory."""

    NOTHING = "nothing"
    EXPECT = "expect"
    """A report to remember, in place of what was remembered of the case."""
    RENEW = "renew"
    """To be scrubbed anew, if it is remembered."""
    FORGET = "forget"


def weigh_memory(before: Case | None, after: Case, what: Consequences) -> Change:
    """What is to be done when `before` has become `after`.

    A text was scrubbed of the patient as they were known. Where a name or a number is another one later, nobody knows
    which of the two it speaks of: the report is forgotten until it is signed anew. Where one was unknown it is scrubbed
    anew.
    """
    if what.drop_examples:
        return Change.FORGET
    if what.signed or (before is not None and _is_corrected(before, after)):
        return Change.EXPECT if _is_memorable(after) else Change.FORGET
    if before is None or after.state is not CaseState.SIGNED or before.patient == after.patient:
        return Change.NOTHING
    if is_lost(before.patient, after.patient):
        return Change.FORGET
    was, now = ((p.id, p.name) for p in (before.patient, after.patient))
    return Change.RENEW if was != now else Change.NOTHING


def holds_text(case: Case) -> bool:
    """Whether anybody has said anything yet."""
    return bool(case.report.findings or case.report.impression)


def is_lost(before: Patient, after: Patient) -> bool:
    """Whether a name or a number of the patient, by which a text may call them, isn't known of them any more."""
    was, now = (set(re.split(r"[\s^,]+", patient.name.casefold())) for patient in (before, after))
    return bool(was - now - {""}) or before.id not in ("", after.id, *after.other_ids)


def remember(case: Case, number: int, *, told: Iterable[CaseEvent], secret: bytes) -> Remembered | None:
    """The report of a signed case without its patient; None when there is none that may be shown as an example.

    `told` is all that was ever told of the case: a report that was filed under another patient, or under a former name,
    may still speak of them. `secret` is the site's, for what the scrubber hides by moving it.
    """
    if not _is_memorable(case) or find_grave(case):
        return None
    told = tuple(told)
    patients = dict.fromkeys((case.patient, *(fact.patient for fact in told)))
    signers = (fact.signer.name for fact in told if isinstance(fact, ReportOpened | ReportDictated | ReportSigned))
    others = tuple(dict.fromkeys((*_told_beside(case), *signers)))

    def clean(text: str) -> str:
        scrubbed = text
        for patient in patients:
            scrubbed = scrub(scrubbed, patient=patient, order=case.order, others=others, key=secret)
        return keep_style(text, scrubbed)[:MAX_EXAMPLE_CHARS].strip()

    findings, impression = clean(case.report.findings), clean(case.report.impression)
    if not findings or not impression:
        return None
    return Remembered(number=number, signer=case.signer.id, findings=findings, impression=impression)


def _is_corrected(before: Case, after: Case) -> bool:
    """Whether a signed text is another one now, whatever time its signing is said to be of."""
    texts = ((case.signer.id, case.report.findings, case.report.impression) for case in (before, after))
    return before.state is after.state is CaseState.SIGNED and len(set(texts)) > 1


def _is_memorable(case: Case) -> bool:
    texts = case.report.findings.strip(), case.report.impression.strip()
    return case.state is CaseState.SIGNED and bool(case.signer.id) and all(texts)


def _told_beside(case: Case) -> Iterator[str]:
    """Names and numbers that belong to the case, and that neither its patient nor its order holds."""
    yield case.key.accession
    yield case.signer.name
    yield from (identity.patient_id for told in case.told for identity in told.identities)
    yield from (prior.accession for prior in case.priors)
