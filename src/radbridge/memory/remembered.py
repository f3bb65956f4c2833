"""What is kept of a signed report, under a number: its texts without its patient, to show and to learn from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from radbridge.assemble import Consequences
from radbridge.case import Case, CaseState, Order, Patient
from radbridge.contradictions import find_grave
from radbridge.deidentify import PLACEHOLDER, find_names, scrub
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
    indication: str = field(default="", repr=False)
    """This and what follows is shown to nobody: training learns from it."""
    comparison: str = field(default="", repr=False)
    prior: str = field(default="", repr=False)
    """What the report that it was compared with concluded."""
    draft: str = field(default="", repr=False)
    corrected: bool = False
    """It was signed more than once."""
    message: int = 0
    """The journal's number of the message that it was signed with."""

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


def remember(
    case: Case, number: int, *, told: Iterable[CaseEvent], secret: bytes, draft: str = "", message: int = 0
) -> Remembered | None:
    """The report of a signed case without its patient; None when there is none that may be shown as an example.

    `told` is all that was ever told of the case: a report that was filed under another patient, or under a former name,
    may still speak of them. `secret` is the site's, for what the scrubber hides by moving it. `draft` is what its
    signer had before them, and `message` the number of the one that it was signed with.
    """
    if not _is_memorable(case) or find_grave(case):
        return None
    told = tuple(told)
    scrubber = _Scrubber.of(case, told, secret, draft)
    findings, impression = scrubber.clean(case.report.findings), scrubber.clean(case.report.impression)
    if not findings or not impression:
        return None
    return Remembered(
        number=number,
        signer=case.signer.id,
        findings=findings,
        impression=impression,
        indication=scrubber.clean(case.indication),
        comparison=scrubber.clean_comparison(case.compared_with),
        prior=scrubber.clean(case.concluded_before),
        draft=scrubber.clean(draft),
        corrected=_was_signed_again(told),
        message=message,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scrubber:
    """Takes out of a case's texts whomever any message of it ever told of."""

    patients: tuple[Patient, ...] = field(repr=False)
    order: Order = field(repr=False)
    others: tuple[str, ...] = field(repr=False)
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, case: Case, told: Sequence[CaseEvent], secret: bytes, draft: str) -> _Scrubber:
        signers = (f.signer.name for f in told if isinstance(f, ReportOpened | ReportDictated | ReportSigned))
        report = case.report
        texts = report.findings, report.impression, case.indication, case.compared_with, case.concluded_before, draft
        return cls(
            patients=tuple(dict.fromkeys((case.patient, *(fact.patient for fact in told)))),
            order=case.order,
            others=tuple(dict.fromkeys((*_told_beside(case), *signers, *_find_strangers(texts)))),
            secret=secret,
        )

    def clean(self, text: str) -> str:
        """What may be imitated of it: no sentence that held a name or a date."""
        return keep_style(text, self._scrub(text))[:MAX_EXAMPLE_CHARS].strip()

    def clean_comparison(self, text: str) -> str:
        """As a rule a study and its date, which is moved: nobody imitates it, and without it nothing would be left."""
        scrubbed = self._scrub(text)
        said = keep_style(text, scrubbed) if PLACEHOLDER.search(scrubbed) else scrubbed
        return said[:MAX_EXAMPLE_CHARS].strip()

    def _scrub(self, text: str) -> str:
        for patient in self.patients:
            text = scrub(text, patient=patient, order=self.order, others=self.others, key=self.secret)
        return text


def _find_strangers(texts: Sequence[str]) -> Iterator[str]:
    """Words of the names that one of a case's texts shows to be some: in another one they may stand bare.

    One that stands small somewhere is an ordinary word; in a text of capitals nobody can tell.
    """
    small = {word for text in texts for word in re.findall(r"\b[a-z]+\b", text)}
    names = {name for text in texts if not text.isupper() for name in find_names(text)}
    words = {word for name in names for word in re.findall(r"[^\W\d_]{4,}", name)}
    yield from sorted(word for word in words if word.lower() not in small)


def _was_signed_again(told: Iterable[CaseEvent]) -> bool:
    signed = [fact for fact in told if isinstance(fact, ReportSigned)]
    return any(f.corrected for f in signed) or len({" ".join(f.report.impression.split()) for f in signed} - {""}) > 1


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
