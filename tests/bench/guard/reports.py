"""The clean reports: from the project's own generator, written by hand for this benchmark, and, by path, real ones."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

from radbridge_training.synth import generate_reports
from tests.bench.guard.lists import stems
from tests.bench.guard.sentences import negated, split

HAND_WRITTEN = Path(__file__).parent / "reports.toml"
REAL = ("openi/valid.jsonl", "mtsamples/reports.jsonl")
_SEX = {
    "F": re.compile(r"\b(?:female|woman|girl|she|her)\b", re.IGNORECASE),
    "M": re.compile(r"\b(?:male|man|boy|he|his|gentleman)\b", re.IGNORECASE),
}
_WORD = re.compile(r"[a-z]{3,}|[a-z]{2}\d+")
_PREGNANT = re.compile(r"fetal|fetus|pregnan|placenta|gestation|amniotic")
_FERTILE = range(15, 51)
_OF_WOMEN = re.compile(r"fallopian|uterus|uterine|ovar(?:y|ies|ian)|adnexa|endometri|vagina")


class Source(StrEnum):
    """Who wrote a report."""

    GENERATED = "generated"
    HAND_WRITTEN = "hand-written"
    REAL = "real"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Findings with an impression, and what else the guard is told."""

    id: str
    source: Source
    findings: str
    impression: str
    indication: str = ""
    comparison: str = ""
    sex: str = ""
    """`F`, `M`, or nothing where it isn't known."""
    modality: str = ""
    age: int | None = None
    """In years."""


def read_hand_written() -> list[Report]:
    """The committed pairs."""
    rows = tomllib.loads(HAND_WRITTEN.read_text(encoding="utf-8"))["report"]
    return [Report(id=f"hand-{n}", source=Source.HAND_WRITTEN, **row) for n, row in enumerate(rows, 1)]


def read_generated(count: int, seed: int) -> list[Report]:
    """`count` generated reports, each in its own radiologist's style.

    The generator trains a model to follow its findings, whatever they say. Left out here is what no true report is:
    invented words, a fallopian tube in a man, and an impression that leaves out a critical finding.
    """
    return list(islice(filter(_is_true, _generate(seed)), count))


def _generate(seed: int) -> Iterator[Report]:
    for n, report in enumerate(generate_reports(seed, 1_000_000)):
        yield Report(
            id=f"generated-{seed}-{n}",
            source=Source.GENERATED,
            findings=report.findings,
            impression=report.impressions[report.persona],
            indication=report.indication,
            comparison=report.comparison,
            sex=report.sex,
            modality=report.modality,
            age=report.age,
        )


def _is_true(report: Report) -> bool:
    said = f"{report.findings} {report.impression}".lower()
    told = f"{report.indication} {said}".lower()
    possible = not (_PREGNANT.search(told) and report.age not in _FERTILE)
    possible = possible and not (report.sex == "M" and _OF_WOMEN.search(told))
    known = _generator_words().issuperset(_WORD.findall(said))
    return bool(report.impression) and possible and known and not _loses_critical(report)


def _loses_critical(report: Report) -> bool:
    """Whether the findings state a critical finding, and the impression doesn't speak of it."""
    drafted = report.impression.lower()
    stated = (s.text.lower() for s in split(report.findings) if not negated(s.text))
    return any(stem in text and stem not in drafted for text in stated for stem in stems("omitted.critical"))


@cache
def _generator_words() -> frozenset[str]:
    """What the generator writes where it writes sense: a third of its reports holds words that nobody ever wrote."""
    tables = files("radbridge_training.synth")
    text = " ".join((tables / f"{name}.toml").read_text(encoding="utf-8") for name in ("anatomy", "phrases", "style"))
    return frozenset(_WORD.findall(text.lower()))


def read_real(folder: Path) -> list[Report]:
    """The reports in `folder`, as its README names them; those without findings or impression are left out."""
    return [
        report
        for name in REAL
        for line in (folder / name).read_text(encoding="utf-8").splitlines()
        if (report := _read_real(json.loads(line))) is not None
    ]


def _read_real(row: Mapping[str, Any]) -> Report | None:
    findings, impression = (str(row.get(key) or "").strip() for key in ("findings", "impression"))
    if not findings or not impression:
        return None
    indication = str(row.get("indication") or "")
    sexes = [sex for sex, words in _SEX.items() if words.search(indication)]
    return Report(
        id=str(row["id"]),
        source=Source.REAL,
        findings=findings,
        impression=impression,
        indication=indication,
        comparison=str(row.get("comparison") or ""),
        sex=sexes[0] if len(sexes) == 1 else "",
        modality=str(row.get("modality_guess") or "CR"),
    )
