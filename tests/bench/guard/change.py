"""One labelled error: what it changes in a report, and the report that comes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.bench.guard.reports import Report
from tests.bench.guard.sentences import HIDDEN, Sentence, split

_LISTED = re.compile(r"(?:^|\s)(\d{1,2})\.\s+(?=[A-Z])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """An error that could be made: `text` from `start` to `end` of the impression, and fields of the case."""

    sub: str
    start: int
    end: int
    text: str
    about: str
    findings: str | None = None
    sex: str | None = None

    def apply(self, kind: str, report: Report) -> Injection:
        """The report with this error in it."""
        impression = report.impression[: self.start] + self.text + report.impression[self.end :]
        changed = replace(
            report,
            impression=impression,
            findings=report.findings if self.findings is None else self.findings,
            sex=report.sex if self.sex is None else self.sex,
        )
        span = (self.start, self.start + len(self.text)) if self.text else None
        return Injection(kind=kind, sub=self.sub, clean=report, report=changed, span=span, about=self.about)


@dataclass(frozen=True, kw_only=True, slots=True)
class Injection:
    """A report with exactly one error of `kind`."""

    kind: str
    sub: str
    clean: Report
    """As it was."""
    report: Report
    """With the error."""
    span: tuple[int, int] | None
    """The error's characters in the new impression; None where something was taken out, or only the case changed."""
    about: str


def editable(report: Report) -> Iterator[Sentence]:
    """The impression's sentences that hold no removed word: what was there can't be known."""
    return (s for s in split(report.impression) if not HIDDEN.search(s.text))


def swap(sub: str, start: int, old: str, new: str) -> Change:
    """`old`, which begins at `start`, becomes `new`, with a capital where there was one."""
    if old.isupper() and len(old) > 1:
        new = new.upper()
    elif old[:1].isupper():
        new = capitalize(new)
    return Change(sub=sub, start=start, end=start + len(old), text=new, about=f"{old!r} became {new!r}")


def insert(sub: str, report: Report, sentence: str) -> Change:
    """`sentence` after the impression, with the next number where that is a list."""
    text = report.impression
    numbers = _LISTED.findall(text)
    stop = "" if text.rstrip().endswith((".", "!", "?")) else "."
    gap = "\n" if "\n" in text.strip() else " "
    lead = f"{gap}{int(numbers[-1]) + 1}. " if numbers else " "
    return Change(sub=sub, start=len(text), end=len(text), text=stop + lead + sentence, about=f"added {sentence!r}")


def capitalize(text: str) -> str:
    """`text` with a capital first."""
    return text[:1].upper() + text[1:]


def lower_first(text: str) -> str:
    """`text` for the middle of a sentence: an abbreviation keeps its capitals."""
    return text if text[1:2].isupper() or text[1:2].isdigit() else text[:1].lower() + text[1:]
