"""Memory of `radbridge evaluate` beside the size of its files: texts pass, a row of numbers stays.

    .venv/bin/python -m tests.bench.evaluate_memory [--mb 200]

Files of a tenth of the size and of the whole one, each in a process of its own; generated reports. Only lengths are
measured, so that minutes are enough: the other measures keep as little of a text, and take 10 ms each.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

from rich.console import Console
from rich.table import Table

from radbridge.evaluation.lengths import Lengths
from radbridge.evaluation.resample import estimate
from radbridge.evaluation.rows import Matched
from radbridge.evaluation.sums import group, tabulate
from radbridge.jsonl import Faults
from radbridge_training.synth import generate_reports

SEED = 5
KINDS = 200


def write_files(folder: Path, megabytes: float) -> int:
    """Reports and drafts of so many MB together; how many there are."""
    kinds = [
        {"findings": report.findings, "impression": report.impression, "modality": report.modality}
        for report in generate_reports(SEED, KINDS)
    ]
    written, count = 0, 0
    with (folder / "signed.jsonl").open("w") as signed, (folder / "drafts.jsonl").open("w") as drafts:
        for kind in cycle(kinds):
            if written > megabytes * 1e6:
                break
            written += signed.write(json.dumps({"id": f"r{count}", **kind}) + "\n")
            written += drafts.write(json.dumps({"id": f"r{count}", "draft": kind["impression"], "ms": 1.0}) + "\n")
            count += 1
    return count


def measure(folder: Path) -> None:
    """One evaluation; prints seconds and the most memory of this process, in MB."""
    began = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    matched = Matched(folder / "signed.jsonl", {"one": folder / "drafts.jsonl"}, faults=Faults())
    groups = group(matched.read_references())
    table = tabulate(matched.pairs("one"), [Lengths()])
    figure, rows = table.figure("words")
    found = estimate(rows, figure.estimate)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = {"reports": len(groups.abnormal), "words": found.value, "s": time.perf_counter() - began}
    print(json.dumps(told | {"before": before / 1024, "peak": peak / 1024}))


def main() -> None:
    """Write, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=float, default=200, help="size of the larger files together")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        measure(options.folder)
        return
    table = Table("MB of files", "reports", "MB before", "MB at most", "s")
    for megabytes in (options.mb / 10, options.mb):
        with tempfile.TemporaryDirectory() as name:
            count = write_files(Path(name), megabytes)
            command = [sys.executable, "-m", "tests.bench.evaluate_memory", "--folder", name]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        table.add_row(f"{megabytes:.0f}", f"{count:,}", *(f"{told[key]:.0f}" for key in ("before", "peak", "s")))
    Console().print(table)


if __name__ == "__main__":
    main()
