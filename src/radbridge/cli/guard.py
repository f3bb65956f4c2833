"""`radbridge guard`: a batch of drafts or of signed reports, held to their findings."""

from __future__ import annotations

import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, BinaryIO, TypeVar

import orjson
import typer
from pydantic import TypeAdapter
from rich.table import Table

from radbridge.cli.common import ConfigOption, err, site_of, told
from radbridge.cli.rows import Line, Lines, make_progress, parse_line, refuse_same, tell_problem
from radbridge.config import Action
from radbridge.draft import Flag, Severity
from radbridge.errors import ConfigError, RadBridgeError
from radbridge.guard import check_draft
from radbridge.guard.policy import GuardPolicy

BAR_AFTER_S = 2.0
CHUNK = 32
"""Rows that go to a process at once."""
AHEAD = 4
"""Chunks that are read for each process before the first of them is written."""
FEW = 256
"""Fewer rows are checked sooner than a second process has started."""

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A row: findings, and the impression that is held to them."""

    findings: str = field(repr=False)
    impression: str = field(repr=False)
    id: str = ""
    indication: str = field(default="", repr=False)
    comparison: str = field(default="", repr=False)
    sex: str = ""
    age: int | None = None
    modality: str = ""


_REPORT = TypeAdapter(Report)


def guard(
    in_file: Annotated[
        Path,
        typer.Option(
            "--in", help="JSON lines: findings and impression; id, indication, comparison, sex, age, modality if known."
        ),
    ],
    out_file: Annotated[
        Path, typer.Option("--out", help="JSON lines to write: id, blocked, flags; `-` is standard output.")
    ],
    config: ConfigOption = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes; else one for each core.")] = None,
) -> None:
    """Check a batch of drafts or of signed reports against their findings. No model, no network.

    A bad line becomes a row with an `error`, and status 1 at the end. The summary goes to standard error.

    Example: [cyan]radbridge guard --in reports.jsonl --out flags.jsonl --config site.toml[/]
    """
    with told():
        site = site_of(config).guard
        policy, lexicon = GuardPolicy(site=site.policy), site.lexicon
        lines = Lines(in_file)
        refuse_same(in_file, out_file)
        tally = Tally()
        with _writing(out_file) as sink:
            for row in _with_bar(_audit(lines, policy, lexicon, jobs or os.cpu_count() or 1), len(lines)):
                tally.add(row)
                sink.write(orjson.dumps(row) + b"\n")
    tally.show()
    if tally.failed:
        raise typer.Exit(1)


@contextmanager
def _writing(out_file: Path) -> Iterator[BinaryIO]:
    if str(out_file) == "-":
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    try:
        with out_file.open("wb") as sink:
            yield sink
    except OSError as error:
        raise ConfigError([f"--out: {out_file}: {error.strerror}"]) from None


def _with_bar(rows: Iterable[Item], total: int) -> Iterator[Item]:
    """`rows`, and a bar once they take longer than a moment."""
    progress, began, shown = make_progress(), monotonic(), False
    bar = progress.add_task("checking", total=total)
    try:
        for row in rows:
            yield row
            progress.advance(bar)
            if not shown and monotonic() - began > BAR_AFTER_S:
                progress.start()
                shown = True
    finally:
        if shown:
            progress.stop()


def _audit(lines: Lines, policy: GuardPolicy, lexicon: tuple[Path, ...], jobs: int) -> Iterator[dict[str, Any]]:
    """The row for each line, in the order of the lines. Raises RadBridgeError when a process is lost."""
    if jobs == 1 or len(lines) < FEW:
        yield from (audit_line(policy, lexicon, line) for line in lines)
        return
    pool = ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn"))
    try:
        yield from _spread(pool, partial(_audit_lines, policy, lexicon), lines, at_most=AHEAD * jobs)
    except BrokenProcessPool:
        raise RadBridgeError("a checking process ended, often for want of memory; try fewer --jobs") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _spread(
    pool: Executor, audit: Callable[[list[Line]], list[dict[str, Any]]], lines: Iterable[Line], *, at_most: int
) -> Iterator[dict[str, Any]]:
    """The rows, in the order of the lines, with so many chunks under way that no process waits for the reader."""
    under_way: deque[Future[list[dict[str, Any]]]] = deque()
    source = iter(lines)
    while chunk := list(islice(source, CHUNK)):
        under_way.append(pool.submit(audit, chunk))
        if len(under_way) == at_most:
            yield from under_way.popleft().result()
    while under_way:
        yield from under_way.popleft().result()


def _audit_lines(policy: GuardPolicy, lexicon: tuple[Path, ...], lines: list[Line]) -> list[dict[str, Any]]:
    return [audit_line(policy, lexicon, line) for line in lines]


def audit_line(policy: GuardPolicy, lexicon: tuple[Path, ...], line: Line) -> dict[str, Any]:
    """The row to write for a line."""
    try:
        report = parse_line(_REPORT, line)
    except ValueError as error:
        return tell_problem(line, error)
    try:
        flags = _check(report, lexicon)
    except Exception as error:  # noqa: BLE001 - one report that nobody foresaw doesn't end an audit of thousands
        return {"id": report.id, "line": line.number, "error": f"internal error ({type(error).__name__})"}
    return {
        "id": report.id or str(line.number),
        "blocked": bool(policy.judge(flags).blocking),
        "flags": [asdict(flag) | {"action": policy.action_of(flag)} for flag in flags],
    }


def _check(report: Report, lexicon: tuple[Path, ...]) -> tuple[Flag, ...]:
    return check_draft(
        report.impression,
        report.findings,
        indication=report.indication,
        comparison=report.comparison,
        sex=report.sex,
        modality=report.modality,
        age=report.age,
        lexicon=lexicon,
    )


class Tally:
    """What a batch came to."""

    def __init__(self) -> None:
        self.failed = 0
        self._checked = self._flagged = self._blocked = 0
        self._flags = Counter[tuple[str, str, str]]()
        self._reports = Counter[tuple[str, str, str]]()

    def add(self, row: dict[str, Any]) -> None:
        """Count one row."""
        if "error" in row:
            self.failed += 1
            return
        kinds = [(f["kind"], f["severity"], f["action"]) for f in row["flags"]]
        self._checked += 1
        self._blocked += row["blocked"]
        self._flagged += any(action != Action.IGNORE for *_, action in kinds)
        self._flags.update(kinds)
        self._reports.update(set(kinds))

    def show(self) -> None:
        """Print the summary to standard error."""
        table = Table("kind", "severity", "action")
        for title in ("flags", "reports", "% of reports"):
            table.add_column(title, justify="right")
        order = list(Severity)[::-1]
        for kind, severity, action in sorted(self._flags, key=lambda k: (order.index(Severity(k[1])), k[0])):
            key = kind, severity, action
            table.add_row(*key, str(self._flags[key]), str(self._reports[key]), self._share(self._reports[key]))
        if table.row_count:
            err.print(table, soft_wrap=False)
        reports = f"{self._checked} report{'' if self._checked == 1 else 's'} checked"
        err.print(
            f"{reports}: {self._flagged} with a flag ({self._share(self._flagged)} %), "
            f"{self._blocked} would be blocked ({self._share(self._blocked)} %)",
            highlight=False,
        )
        if self.failed:
            err.print(f"[yellow]{self.failed} not checked[/]: see `error` in the output", highlight=False)

    def _share(self, count: int) -> str:
        return f"{100 * count / self._checked:.1f}" if self._checked else "0.0"
