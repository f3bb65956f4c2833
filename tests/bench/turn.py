"""How long a training turn takes: one radiologist with 200 new reports, and several at once on one core and on all.

    .venv/bin/python -m tests.bench.turn [--reports 200] [--people 12] [--out var/bench/turn.json]

A journal is filled with invented signed reports; then `radbridge train run` is called as an operator calls it, with the
packaged recipe, on the packaged base. Seconds are wall clock and those that each step says of itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.table import Table

from tests.support.signed_reports import sign_reports, write_site

AT_ONCE = 60
"""Reports of each of those who are trained side by side."""


@dataclass(frozen=True, kw_only=True)
class Took:
    """One turn."""

    people: int
    reports: int
    cpus: int
    wall_s: float
    steps: dict[str, float] = field(default_factory=dict)
    """Step -> seconds, of all radiologists together."""

    @property
    def side_by_side(self) -> float:
        """How many radiologists' steps were done at a time, on average, the turn's own start included."""
        return sum(self.steps.values()) / self.wall_s


def run_turn(people: int, reports: int, cpus: int) -> Took:
    """Fill a journal, and run one turn on it. Raises CalledProcessError when that fails."""
    with tempfile.TemporaryDirectory(prefix="turn-") as name:
        folder = Path(name)
        config = write_site(folder, cpus=cpus)
        sign_reports(f"sqlite:///{folder}/radbridge.db", people=people, reports=reports)
        began = perf_counter()
        subprocess.run(
            [sys.executable, "-m", "radbridge", "train", "run", "--config", str(config)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wall = perf_counter() - began
        return Took(people=people, reports=reports, cpus=cpus, wall_s=round(wall, 1), steps=_read_steps(folder))


def _read_steps(folder: Path) -> dict[str, float]:
    steps: defaultdict[str, float] = defaultdict(float)
    for done in sorted(folder.glob("turns/*T*/rad/*/*/done.json")):
        steps[done.parent.name] += json.loads(done.read_bytes())["seconds"]
    return {step: round(seconds, 1) for step, seconds in steps.items()}


def show(turns: list[Took]) -> Table:
    """The turns, a line each."""
    steps = sorted({step for took in turns for step in took.steps})
    table = Table("radiologists", "reports each", "cores", "seconds", *steps, "at a time")
    for took in turns:
        said = (took.people, took.reports, took.cpus, took.wall_s, *(took.steps.get(step, 0.0) for step in steps))
        table.add_row(*map(str, said), f"{took.side_by_side:.2f}")
    return table


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=200)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("var/bench/turn.json"))
    said = parser.parse_args()
    console, turns = Console(width=160), []
    forms = [(1, said.reports, 1), (said.people, AT_ONCE, 1), (said.people, AT_ONCE, len(os.sched_getaffinity(0)))]
    for people, reports, cpus in forms:
        with console.status(f"{people} with {reports} reports on {cpus} cores"):
            turns.append(run_turn(people, reports, cpus))
    console.print(show(turns))
    said.out.parent.mkdir(parents=True, exist_ok=True)
    said.out.write_text(json.dumps([asdict(took) for took in turns], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
