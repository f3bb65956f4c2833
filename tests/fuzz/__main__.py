"""Coverage-guided fuzzing of everything that reads bytes from a wire: `make fuzz ARGS="--seconds 60"`.

Each target runs in a process of its own, since libFuzzer ends the one it ran in. Status 1 when an input broke a
promise; that input is kept, and `python -m tests.fuzz --again FILE --only TARGET` shows the traceback.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.fuzz.mutating import mutate_json

JSON = ("fhir", "fhircast")
NAMES = ("mllp", "hl7v2", "batch", "fhir", "fhircast", "dicom")
PACKAGES = ["radbridge.errors", "radbridge.case", "radbridge.imaging", "radbridge_adapters"]
"""What is watched for new edges."""
KEPT = Path("var/fuzz")

_STATE = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one target's run came to."""

    target: str
    seconds: int
    executions: int
    edges: int
    crash: str = ""
    """The last line of the traceback; empty when none was found."""
    input: str = ""
    """The file that holds what caused it."""


def fuzz(name: str, seconds: int, seed: int, kept: Path) -> Outcome:
    """Run one target in a process of its own."""
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        limits = [f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=16384", "-timeout=20", "-rss_limit_mb=2048"]
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", "--inside", name, corpus, *limits, f"-artifact_prefix={kept}/{name}-"],
            capture_output=True,
            text=True,
            check=False,
            errors="replace",
        )
    states = _STATE.findall(done.stderr)
    executions, edges = map(int, states[-1]) if states else (0, 0)
    outcome = Outcome(target=name, seconds=seconds, executions=executions, edges=edges)
    if done.returncode == 0:
        return outcome
    text = done.stdout + done.stderr
    found = re.search(r"Test unit written to (\S+)", text)
    thrown = re.search(r"Uncaught Python exception: ===\n(.+)", text) or re.search(r"ERROR: libFuzzer: (.+)", text)
    said = thrown[1] if thrown else text.strip()[-300:]
    return Outcome(**asdict(outcome) | {"crash": said, "input": found[1] if found else ""})


def _inside(name: str, corpus: Path, limits: list[str]) -> None:
    """The fuzzed process. It never returns."""
    import atheris  # here: it slows whatever is imported after it

    with atheris.instrument_imports(include=PACKAGES):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed{number}").write_bytes(seed)

    def mutate(data: bytes, at_most: int, seed: int) -> bytes:
        return mutate_json(data, at_most, seed, target.seeds) or bytes(atheris.Mutate(data, at_most))

    more = {"custom_mutator": mutate} if name in JSON else {}
    atheris.Setup([sys.argv[0], *limits, str(corpus)], target.run, **more)
    atheris.Fuzz()


def main() -> None:
    """`python -m tests.fuzz --seconds 60 [--only TARGET] [--seed N] [--json FILE] [--again FILE]`."""
    if sys.argv[1:2] == ["--inside"]:
        _inside(sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--only", choices=NAMES, action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the outcomes there too")
    parser.add_argument("--again", type=Path, help="an input that was kept: run it alone")
    args = parser.parse_args()
    names = args.only or NAMES
    if args.again:
        from tests.fuzz.targets import TARGETS

        TARGETS[names[0]].run(args.again.read_bytes())
        return
    if find_spec("atheris") is None:
        parser.error("atheris isn't installed: pip install -e '.[fuzz]' (it has wheels for Python 3.11 to 3.13)")
    console = Console()
    with Progress(console=Console(stderr=True)) as progress:
        tracked = progress.track(names, description="fuzz")
        outcomes = [fuzz(name, args.seconds, args.seed, KEPT) for name in tracked]
    table = Table("target", "executions", "a second", "edges", "crash")
    for o in outcomes:
        table.add_row(o.target, f"{o.executions:,}", f"{o.executions / o.seconds:,.0f}", f"{o.edges:,}", o.crash)
    console.print(table)
    if args.json:
        args.json.write_text(json.dumps([asdict(o) for o in outcomes], indent=1) + "\n")
    raise SystemExit(any(o.crash for o in outcomes))


if __name__ == "__main__":
    main()
