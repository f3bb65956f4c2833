"""Each mutant once: `make torture-mutants`. Status 1 when the checker found nothing wrong with one of them.

What only I8 finds doesn't count: a busy machine is late, too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.torture.mutants import MUTANTS

LATE = "I8"


def find(name: str, options: list[str]) -> dict[str, int]:
    """A run with a mutant: promise -> how often it was broken. Raises FileNotFoundError where the run itself failed."""
    with tempfile.TemporaryDirectory(prefix="mutant") as folder:
        run = [sys.executable, "-m", "tests.torture", "--mutant", name, "--keep", folder, *options]
        subprocess.run(run, check=False)
        broken = json.loads(Path(folder, "broken.json").read_text())
    return {promise: len(problems) for promise, problems in broken.items() if problems}


def main() -> None:
    """`python -m tests.torture.find_mutants [--seconds 40 --seed 1 --senders 4]`: options of a torture run."""
    options = sys.argv[1:] or ["--seconds", "40", "--seed", "1", "--senders", "4"]
    found = {name: find(name, options) for name in MUTANTS}
    table = Table("taken out", "found", "broken")
    missed = [name for name, broken in found.items() if not broken.keys() - {LATE}]
    for name, broken in found.items():
        table.add_row(name, "no" if name in missed else "yes", ", ".join(f"{p}: {n}" for p, n in broken.items()))
    Console(width=140).print(table)
    raise SystemExit(bool(missed))


if __name__ == "__main__":
    main()
