"""The coarse stage alone beside what was signed, and what the guard says of the signed texts themselves.

    .venv/bin/python -m tests.bench.coarse_eval --data reports.jsonl [--show 10]

Each row needs `findings` and `impression`; `indication` and `comparison` are used where they are there. Rows with a
`mesh` that isn't `["normal"]` are scored again by themselves: normal templates win ROUGE without saying anything.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from radbridge.coarse import draft_coarse
from radbridge.evaluation.figures import estimate_figures
from radbridge.evaluation.measures import core_measures
from radbridge.evaluation.printing import print_estimate
from radbridge.evaluation.rows import REFERENCE, Draft, Pair, Reference
from radbridge.evaluation.sums import group, tabulate
from radbridge.guard import check_draft
from tests.bench.quality_drafts import read_rows

Row = dict[str, Any]
Write = Callable[[Reference], str]


def write_coarse(reference: Reference) -> str:
    """The coarse text."""
    return draft_coarse(reference.findings, indication=reference.indication).text


SYSTEMS: dict[str, Write] = {
    "coarse": write_coarse,
    "signed": lambda reference: reference.impression,
    "whole findings": lambda reference: reference.findings,
}


def read_references(data: Path) -> list[Reference]:
    """The reports, abnormal where their `mesh` says so."""
    return [
        REFERENCE.validate_python(
            {"id": str(number)}
            | {name: row.get(name) or "" for name in ("findings", "impression", "indication", "comparison")}
            | {"abnormal": row["mesh"] != ["normal"] if "mesh" in row else None}
        )
        for number, row in enumerate(read_rows(data))
    ]


def print_figures(references: Sequence[Reference], title: str) -> None:
    """Every figure of the coarse text, of the signed one and of the whole findings, on all and on abnormal reports."""
    groups = group(references)
    console, columns = Console(width=160), []
    measures = core_measures()
    for write in SYSTEMS.values():
        pairs = (Pair(number=n, reference=r, draft=Draft(id=r.id, draft=write(r))) for n, r in enumerate(references, 1))
        table = tabulate(pairs, measures)
        columns += [estimate_figures(table, draws=1_000, seed=0, within=w) for w in (None, groups.abnormal)]
    shown = Table("", *(f"{name}{part}" for name in SYSTEMS for part in ("", ", abnormal")), title=title)
    for figure in (figure for measure in measures for figure in measure.figures):
        shown.add_row(figure.title, *(print_estimate(found[figure.name], figure.unit) for found in columns if found))
    console.print(shown)


def print_times(references: Sequence[Reference]) -> None:
    """How long a coarse text and a check take."""
    check_draft("Warm.", "Warm.")  # the vocabulary is read once, and isn't part of a draft's time
    for name, work in (("coarse", write_coarse), ("guard", lambda r: check_draft(r.impression, r.findings))):
        seconds = []
        for reference in references:
            began = time.perf_counter()
            work(reference)
            seconds.append(time.perf_counter() - began)
        print(f"{name}: median {1e3 * statistics.median(seconds):.2f} ms")


def print_drafts(references: Sequence[Reference], count: int) -> None:
    """About `count` drafts beside their references."""
    for reference in references[:: max(1, len(references) // count)]:
        shown = {
            "findings": reference.findings,
            "indication": reference.indication,
            "reference": reference.impression,
            "draft": write_coarse(reference),
        }
        print("", *(f"{name:<10} {text}" for name, text in shown.items()), sep="\n")


def main() -> None:
    """Read the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="JSON lines")
    parser.add_argument("--show", type=int, default=0, help="print so many drafts beside their references")
    options = parser.parse_args()
    references = read_references(options.data)
    print_figures(references, f"{len(references)} reports")
    print_times(references)
    if options.show:
        print_drafts(references, options.show)


if __name__ == "__main__":
    main()
