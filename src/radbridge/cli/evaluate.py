"""`radbridge evaluate`: how good drafts are, beside what was signed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from radbridge.cli.common import err, told
from radbridge.cli.rows import make_progress
from radbridge.errors import ConfigError

if TYPE_CHECKING:
    from radbridge.evaluation.report import Evaluation
    from radbridge.evaluation.run import Plan

_NEEDS = ("numpy", "rouge_score", "sacrebleu")


_Drafts = Annotated[
    list[str],
    typer.Option(
        "--drafts",
        metavar="[NAME=]FILE",
        help="What `radbridge draft --out` wrote, once more for each further system.",
    ),
]
_References = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help="JSON lines of signed reports: id, findings, impression; if known indication, comparison, modality, "
        "body_system, sex, age, institution, radiologist, persona, abnormal.",
    ),
]
_Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The page to write, one HTML file.")]
_Json = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="The figures as JSON; else beside the page, as .json.")
]
_Train = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Signed reports to copy from: adds the retrieval baselines, and says what they win."
    ),
]
_Measures = Annotated[
    list[str] | None, typer.Option(metavar="NAME=FOLDER", help="One more measure, such as bertscore, and its model.")
]
_Cost = Annotated[
    list[str] | None, typer.Option(metavar="NAME=FILE", help="What `radbridge draft --cost` wrote for a system.")
]
_SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave faulty rows out and say so, instead of refusing the files.")
]
_Seed = Annotated[int, typer.Option(min=0, help="Of the random draws.")]
_Draws = Annotated[int, typer.Option(min=100, help="Bootstrap samples of an interval.")]
_Jobs = Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes; else one for each core.")]


def evaluate(  # noqa: PLR0917 - Typer's options
    drafts: _Drafts,
    references: _References,
    out_file: _Out,
    json_file: _Json = None,
    train: _Train = None,
    measure: _Measures = None,
    cost: _Cost = None,
    skip_bad: _SkipBad = False,
    seed: _Seed = 0,
    draws: _Draws = 1_000,
    jobs: _Jobs = None,
) -> None:
    """Measure drafts against the signed reports: one page, one JSON, one table. No network; no text is written.

    Rows are paired by id, and files of any length are read a line at a time. A faulty row is told by file and line,
    and nothing is counted: status 2. Else the status is 0, whatever the figures are.

    Example: [cyan]radbridge evaluate --drafts drafts.jsonl --references signed.jsonl --out page.html[/]
    """
    with told():
        systems = _read_named("--drafts", drafts)
        weights, costs = _read_named("--measure", measure or []), _read_named("--cost", cost or [])
        json_file = json_file or out_file.with_suffix(".json")
        _refuse_overwriting(
            (out_file, json_file), (*systems.values(), *costs.values(), references, *([train] if train else ()))
        )
        _check_installed()
        from radbridge.cli.evaluation_table import show
        from radbridge.evaluation.page import render
        from radbridge.evaluation.run import Plan

        plan = Plan(
            drafts=systems,
            references=references,
            train=train,
            weights=weights,
            costs=costs,
            skip_bad=skip_bad,
            seed=seed,
            draws=draws,
            jobs=jobs or os.cpu_count() or 1,
        )
        found, faults = _measure(plan)
        _write(out_file, render(found).encode())
        _write(json_file, found.to_json())
    show(found, faults)
    err.print(f"written: {out_file}, {json_file}", highlight=False)


def _measure(plan: Plan) -> tuple[Evaluation, list[str]]:
    """What was found, and the rows that were left out; shows how far it is."""
    from radbridge.evaluation.run import Evaluator

    with err.status("reading the files"):
        evaluator = Evaluator(plan)
    with make_progress() as progress:
        bar = progress.add_task("evaluating", total=evaluator.total)
        counted = evaluator.count(lambda count: progress.advance(bar, count))
    with err.status("resampling"):
        return evaluator.conclude(counted), [str(fault) for fault in evaluator.faults.told]


def _read_named(option: str, values: Sequence[str]) -> dict[str, Path]:
    """Files by name, in order. One without a name is called by its own. Raises ConfigError."""
    found: dict[str, Path] = {}
    for value in values:
        name, told_name, rest = value.partition("=")
        path = Path(rest if told_name and not Path(value).exists() else value)
        name = name if path != Path(value) else path.stem
        if not name or not str(path).strip("."):
            raise ConfigError([f"{option} {value}: write FILE or NAME=FILE"])
        if name in found:
            raise ConfigError([f"{option}: two are called {name}; write NAME=FILE"])
        found[name] = path
    return found


def _refuse_overwriting(outputs: tuple[Path, Path], inputs: Sequence[Path]) -> None:
    """Raises ConfigError where an output would take an input's place, or where there is no folder for it."""
    page, numbers = outputs
    if page.resolve() == numbers.resolve():
        raise ConfigError([f"--out: {page} is where the JSON goes; name another"])
    for output in outputs:
        if not output.parent.is_dir():
            raise ConfigError([f"--out: there is no folder {output.parent}"])
        for source in inputs:
            if output.exists() and source.exists() and output.samefile(source):
                raise ConfigError([f"--out: {output} is one of the files to read; name another"])


def _check_installed() -> None:
    if absent := [name for name in _NEEDS if find_spec(name) is None]:
        raise ConfigError(
            [f"radbridge evaluate needs more ({', '.join(absent)} is missing): pip install 'radbridge[evaluate]'"]
        )


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise ConfigError([f"--out: {file}: {error.strerror}"]) from None
