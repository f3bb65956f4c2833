"""The benchmark's figures as tables on standard output, and as JSON."""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.guard.injector import KINDS
from tests.bench.guard.measure import ANY_CRITICAL, CONTRADICTED, Alarm, Outcome, Rate, rate_alarms, rate_recall
from tests.bench.guard.reports import Source

HIGH_AIM, AIM = 0.90, 0.75
OMITTED_CRITICAL = "omitted/critical"
AIMS = dict.fromkeys(KINDS, AIM) | dict.fromkeys(
    ("laterality", "negation", "measurement", "sex_or_age", OMITTED_CRITICAL), HIGH_AIM
)
"""Of issue 4: recall at least so much."""
ALARM_AIM, CRITICAL_AIM = 0.03, 0.08
"""Of issue 4: clean generated reports flagged by a kind, clean real ones with a critical flag; at most so much."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Everything that one run measured."""

    outcomes: Mapping[Source, Mapping[str, Sequence[Outcome]]]
    alarms: Mapping[Source, Sequence[Alarm]]
    timings: Mapping[str, float] = field(default_factory=dict)
    lengths: Sequence[Mapping[str, float]] = ()

    def recall(self, source: Source, kind: str) -> tuple[Rate, Rate]:
        """With the right flag, and with any; `kind` may go on with the beginning of sub-kinds: `omitted/critical`."""
        outcomes = self.outcomes[source].get(kind.partition("/")[0], ())
        return rate_recall([o for o in outcomes if o.injection.sub.startswith(kind)])

    def false_alarms(self, source: Source) -> dict[str, Rate]:
        """By kind, and with any critical flag."""
        return rate_alarms(self.alarms[source], KINDS)

    @property
    def sources(self) -> list[Source]:
        return [source for source in Source if source in self.alarms]


def show(figures: Figures, console: Console) -> None:
    """Recall and false alarms, a column each for every source, and the timings."""
    console.print(_table(figures, "Recall: a flag of the right kind, new with the error", _recall_cells, ROWS))
    console.print(_table(figures, "Recall: a flag of any kind", _any_cells, ROWS))
    rows = [*KINDS, ANY_CRITICAL, CONTRADICTED]
    console.print(
        _table(figures, "Clean reports that are flagged (for the kind critical that may be right)", _alarm_cells, rows)
    )
    subs = Table("sub-kind", *figures.sources, title="Recall by sub-kind (right kind)", title_justify="left")
    for sub, rates in _by_sub(figures).items():
        subs.add_row(sub, *(str(rates.get(source, Rate(hits=0, total=0))) for source in figures.sources))
    console.print(subs)
    if figures.timings:
        console.print("A check: " + ", ".join(f"{key} {value:.3g}" for key, value in figures.timings.items()))
    for row in figures.lengths:
        console.print("  " + ", ".join(f"{key} {value:.4g}" for key, value in row.items()), highlight=False)


ROWS = [row for kind in KINDS for row in ((kind, OMITTED_CRITICAL) if kind == "omitted" else (kind,))]


def _table(figures: Figures, title: str, cells: Callable[[Figures, str], list[str]], rows: Sequence[str]) -> Table:
    table = Table("kind", "aim", *figures.sources, title=title, title_justify="left")
    for row in rows:
        table.add_row(row, *cells(figures, row))
    return table


def _recall_cells(figures: Figures, row: str) -> list[str]:
    aim = AIMS[row]
    rates = [figures.recall(source, row)[0] for source in figures.sources]
    return [f"≥ {aim:.0%}", *(_coloured(rate, met=rate.share >= aim) for rate in rates)]


def _any_cells(figures: Figures, row: str) -> list[str]:
    return ["", *(str(figures.recall(source, row)[1]) for source in figures.sources)]


def _alarm_cells(figures: Figures, row: str) -> list[str]:
    aim = ALARM_AIM if row in KINDS else CRITICAL_AIM
    rates = [figures.false_alarms(source)[row] for source in figures.sources]
    return [f"≤ {aim:.0%}", *(_coloured(rate, met=rate.share <= aim) for rate in rates)]


def _coloured(rate: Rate, *, met: bool) -> str:
    return f"[{'green' if met else 'red'}]{str(rate).replace('[', chr(92) + '[')}[/]" if rate.total else str(rate)


def _by_sub(figures: Figures) -> dict[str, dict[Source, Rate]]:
    found: dict[str, dict[Source, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for source, kinds in figures.outcomes.items():
        for outcomes in kinds.values():
            for outcome in outcomes:
                found[outcome.injection.sub][source].append(outcome)
    return {sub: {s: rate_recall(o)[0] for s, o in by.items()} for sub, by in sorted(found.items())}


def as_json(figures: Figures) -> dict[str, Any]:
    """All figures, with the state of the machine."""
    return {
        "recall": {
            source: {row: _told(*figures.recall(source, row), aim=AIMS[row]) for row in ROWS}
            for source in figures.sources
        },
        "recall_by_sub": {
            sub: {source: _tell(rate) for source, rate in rates.items()} for sub, rates in _by_sub(figures).items()
        },
        "alarms": {
            source: {row: _tell(rate) for row, rate in figures.false_alarms(source).items()}
            for source in figures.sources
        },
        "timings": dict(figures.timings),
        "lengths": [dict(row) for row in figures.lengths],
        "machine": {
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
        },
    }


def _told(right: Rate, any_: Rate, *, aim: float) -> dict[str, Any]:
    return {"right": _tell(right), "any": _tell(any_), "aim": aim, "met": bool(right.total) and right.share >= aim}


def _tell(rate: Rate) -> dict[str, Any]:
    low, high = rate.interval
    return {"hits": rate.hits, "total": rate.total, "share": rate.share, "low": low, "high": high}
