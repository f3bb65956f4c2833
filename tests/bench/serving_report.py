"""What every serving bench hands over: rows, verdicts against the aims, and the state of the machine beside them."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

JSON_FOLDER = Path("var/bench")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One figure beside what was aimed at."""

    what: str
    value: float
    aim: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether the aim is reached."""
        return self.value <= self.aim if self.at_most else self.value >= self.aim

    def __str__(self) -> str:
        sign = "at most" if self.at_most else "at least"
        return f"{self.what}: {self.value:.3g} (aim: {sign} {self.aim:g}; {'met' if self.met else 'SHORT OF IT'})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What one bench measured."""

    title: str
    rows: list[dict[str, object]]
    """All with the same keys."""
    verdicts: tuple[Verdict, ...] = ()


def run(name: str, measure: Callable[[bool], Coroutine[Any, Any, Report]], about: str) -> None:
    """A bench's command: `--quick`, a table on standard output, `var/bench/serving_<name>.json`."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small variant: shows that it runs, not how fast")
    quick = parser.parse_args().quick
    began, load = datetime.now(UTC), os.getloadavg()[0]
    report = asyncio.run(measure(quick))
    show(report)
    machine = {
        "began": began.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - began).total_seconds(), 1),
        "quick": quick,
        "cores": os.cpu_count(),
        "load_before": round(load, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }
    told = {
        "title": report.title,
        "machine": machine,
        "rows": report.rows,
        "verdicts": [asdict(verdict) | {"met": verdict.met} for verdict in report.verdicts],
    }
    JSON_FOLDER.mkdir(parents=True, exist_ok=True)
    (JSON_FOLDER / f"serving_{name}.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def show(report: Report) -> None:
    """The table and the verdicts."""
    table = Table(*(report.rows[0] if report.rows else ()), title=report.title, title_justify="left")
    for row in report.rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    console = Console(file=sys.stdout, width=140)
    console.print(table)
    for verdict in report.verdicts:
        console.print(str(verdict), style="green" if verdict.met else "red", highlight=False)
