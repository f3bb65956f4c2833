"""The signed reports that a site model is made of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from radbridge.candidates import Report
from radbridge.case import Patient
from radbridge.deidentify import scrub
from radbridge.entities.labels import read_labels
from radbridge.errors import ConfigError
from radbridge.jsonl import Faults, read_rows

FEWEST = 20
"""Reports below which nothing can be learnt."""
_STOPS = re.compile(r"\.(?:\s*\.)+(?=\s|$)")
"""Full stops one after another, as templates leave them where nothing was filled in."""
Said = Annotated[str, Field(pattern=r"\S")]


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedReport:
    """A line of the training file; what else it holds is not read."""

    findings: Said = field(repr=False)
    impression: Said = field(repr=False)
    indication: str = field(default="", repr=False)
    comparison: str = field(default="", repr=False)
    modality: str = ""
    sex: str = ""
    age: int | None = None

    def as_pooled(self) -> Report:
        """What of it goes into the site model: nothing that identifies anybody."""
        nobody = Patient()
        findings = scrub(self.findings, patient=nobody)
        return Report(
            findings=findings,
            impression=_STOPS.sub(".", scrub(self.impression, patient=nobody)).strip(),
            named=tuple(sorted(read_labels(findings))),
        )


_SIGNED: TypeAdapter[SignedReport] = TypeAdapter(SignedReport)


def read_reports(file: Path) -> list[SignedReport]:
    """The reports in JSON lines. Raises ConfigError with the lines that can't be read, or when they are too few."""
    faults = Faults()
    reports = [report for _, report in read_rows(file, _SIGNED, faults=faults)]
    faults.settle()
    if len(reports) < FEWEST:
        raise ConfigError([f"{file}: holds {len(reports)} reports; a site model needs {FEWEST} at least, better 400"])
    return reports


def count_taken_up(reports: Sequence[Report]) -> Mapping[str, float]:
    """For each label, the share of the impressions that name it where the findings do; a rare one is near a third."""
    held, taken = Counter[str](), Counter[str]()
    for report in reports:
        held.update(report.named)
        taken.update(read_labels(report.impression).intersection(report.named))
    return {label: (taken[label] + 1) / (count + 3) for label, count in held.items()}
