"""What the reports are that a figure was measured on: how many of which modality, and how long their sections."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from radbridge.evaluation.rows import Reference
from radbridge.text import split_sentences

SECTIONS = ("findings", "impression", "indication")
"""The sections that are counted. `indication` is the clinical information."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SectionLength:
    """One section over the reports that have it."""

    reports: int
    words: float
    """Mean, as white space parts them."""
    sentences: float


@dataclass(frozen=True, kw_only=True, slots=True)
class DataRow:
    """The reports of one modality, or of all."""

    modality: str | None
    """None: all of them. Empty: those that tell none."""
    reports: int
    share: float
    sections: dict[str, SectionLength] = field(default_factory=dict)


@dataclass(slots=True)
class _Sums:
    reports: int = 0
    words: Counter[str] = field(default_factory=Counter)
    sentences: Counter[str] = field(default_factory=Counter)
    having: Counter[str] = field(default_factory=Counter)

    def close(self, modality: str | None, total: int) -> DataRow:
        sections = {
            name: SectionLength(reports=n, words=self.words[name] / n, sentences=self.sentences[name] / n)
            for name in SECTIONS
            if (n := self.having[name])
        }
        return DataRow(modality=modality, reports=self.reports, share=self.reports / total, sections=sections)


class DataCounter:
    """Counts references as they pass; no text is kept."""

    def __init__(self) -> None:
        self._sums: dict[str | None, _Sums] = defaultdict(_Sums)

    def add(self, reference: Reference) -> None:
        """One more report."""
        counted = [
            (name, len(text.split()), len(split_sentences(text)))
            for name, text in (
                ("findings", reference.findings),
                ("impression", reference.impression),
                ("indication", reference.indication),
            )
            if text.strip()
        ]
        for sums in (self._sums[None], self._sums[reference.modality]):
            sums.reports += 1
            for name, words, sentences in counted:
                sums.having[name] += 1
                sums.words[name] += words
                sums.sentences[name] += sentences

    def close(self) -> tuple[DataRow, ...]:
        """All reports first, then each modality, the commonest first. Empty when nothing was counted."""
        total = self._sums[None].reports
        told = ((modality, sums) for modality, sums in self._sums.items() if sums.reports)
        rows = [sums.close(modality, total) for modality, sums in told]
        return tuple(sorted(rows, key=lambda row: (row.modality is not None, -row.reports, row.modality or "")))
