"""The site's signed reports, which a site model carries beside its weights."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from radbridge.errors import ConfigError
from radbridge.jsonl import Faults, read_rows
from radbridge.retrieval.tfidf import TfidfIndex

POOL = "pool.jsonl"
Said = Annotated[str, Field(pattern=r"\S")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A signed report without what identifies anybody."""

    findings: Said = field(repr=False)
    impression: Said = field(repr=False)
    named: tuple[str, ...] = ()
    """The labels of what the findings say is there: read once, when the pool is made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbour:
    """A report whose findings are like those of a case; `likeness` is their cosine."""

    report: Report
    likeness: float


_REPORT: TypeAdapter[Report] = TypeAdapter(Report)


class SitePool:
    """Signed reports, found by findings that are alike. A report is known by its number in the order given."""

    def __init__(self, reports: Iterable[Report]) -> None:
        self.reports: Sequence[Report] = tuple(reports)
        self._index = TfidfIndex(report.findings for report in self.reports)
        self._signed = Counter(report.impression for report in self.reports)

    def nearest(self, findings: str, k: int, *, without: int | None = None) -> list[Neighbour]:
        """The reports most like `findings`, the most alike first; `without` leaves one of them out."""
        found = self._index.nearest(findings, k if without is None else k + 1)
        left = [(number, likeness) for number, likeness in found if number != without]
        return [Neighbour(report=self.reports[number], likeness=likeness) for number, likeness in left[:k]]

    def count(self, impression: str, *, without: int | None = None) -> int:
        """How many reports were signed with just this text."""
        own = without is not None and self.reports[without].impression == impression
        return self._signed[impression] - own


def read_pool(path: Path) -> SitePool:
    """The pool in a file of JSON lines. Raises ConfigError with the lines that can't be read."""
    faults = Faults()
    reports = [report for _, report in read_rows(path, _REPORT, faults=faults)]
    faults.settle()
    if not reports:
        raise ConfigError([f"{path}: holds no report"])
    return SitePool(reports)


def write_pool(path: Path, reports: Iterable[Report]) -> str:
    """Write the reports as JSON lines; the SHA-256 of the file, in hex."""
    lines = b"".join(_REPORT.dump_json(report) + b"\n" for report in reports)
    path.write_bytes(lines)
    return hashlib.sha256(lines).hexdigest()
