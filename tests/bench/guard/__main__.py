"""How often the guard sees an error, and how often it speaks of a clean report.

    .venv/bin/python -m tests.bench.guard [--data FOLDER] [--per-kind 200] [--seed 1] [--quick] [--picture]

One labelled error at a time is put into true impressions: generated ones, hand-written ones and, with `--data`, the
real ones in that folder (`openi/valid.jsonl`, `mtsamples/reports.jsonl`). Recall counts a flag of the error's own kind
that the clean report hadn't raised. All shares carry their 95 % Wilson interval. The figures go to
`var/bench/guard.json`; `--misses KIND N` and `--alarms KIND N` print what was missed and what was wrongly flagged.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.progress import track

from tests.bench.guard.change import Injection
from tests.bench.guard.injector import KINDS, inject_all, shuffled
from tests.bench.guard.measure import Alarm, Outcome, check, judge, listen, time_checks, time_lengths
from tests.bench.guard.picture import PICTURE, draw
from tests.bench.guard.reports import REAL, Report, Source, read_generated, read_hand_written, read_real
from tests.bench.guard.table import Figures, as_json, show
from tests.bench.serving_report import JSON_FOLDER

LENGTHS = (1, 2, 4, 8, 16, 32, 64)


def main() -> None:
    """Read the arguments, measure, show."""
    options = _parse()
    reports = _read(options)
    guard = cache(check)  # a clean report is asked for once for each error made in it
    alarms = {
        source: listen(track(those, description=f"clean, {source}", transient=True, console=_PROGRESS), guard)
        for source, those in reports.items()
    }
    kinds = [options.misses[0]] if options.misses else [] if options.alarms else KINDS
    outcomes = {
        source: {
            kind: [judge(made, guard) for made in _inject(kind, those, options)]
            for kind in track(kinds, description=f"errors, {source}", transient=True, console=_PROGRESS)
        }
        for source, those in reports.items()
    }
    if options.misses:
        _print_misses([o for by in outcomes.values() for them in by.values() for o in them], int(options.misses[1]))
    elif options.alarms:
        _print_alarms([a for them in alarms.values() for a in them], options.alarms[0], int(options.alarms[1]))
    else:
        _report(options, reports, Figures(outcomes=outcomes, alarms=alarms))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder with openi/ and mtsamples/: real reports too")
    parser.add_argument("--per-kind", type=int, default=200, help="at most so many errors of a kind and source")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same errors")
    parser.add_argument("--quick", action="store_true", help="a small variant: shows that it runs, not how good it is")
    parser.add_argument(
        "--picture", action="store_true", help="draw docs/pictures/guard-recall.svg (with --quick: beside the JSON)"
    )
    for name, about in (
        ("misses", "print N missed errors of KIND"),
        ("alarms", "print N clean reports that KIND flags"),
    ):
        parser.add_argument(f"--{name}", nargs=2, metavar=("KIND", "N"), help=about)
    options = parser.parse_args()
    for asked in (options.misses, options.alarms):
        if asked and (asked[0] not in KINDS or not asked[1].isdecimal()):
            parser.error(f"KIND is one of {', '.join(KINDS)}; N is a number")
    if options.data and (absent := [name for name in REAL if not (options.data / name).is_file()]):
        parser.error(f"--data needs a folder with {' and '.join(absent)}")
    if options.quick:
        options.per_kind = min(options.per_kind, 20)
    return options


def _read(options: argparse.Namespace) -> dict[Source, list[Report]]:
    """The clean reports by source."""
    reports = {
        Source.GENERATED: read_generated(100 if options.quick else 1000, options.seed),
        Source.HAND_WRITTEN: read_hand_written(),
    }
    return reports | ({Source.REAL: read_real(options.data)} if options.data else {})


def _inject(kind: str, reports: Sequence[Report], options: argparse.Namespace) -> list[Injection]:
    return inject_all(kind, reports, count=options.per_kind, seed=options.seed)


def _report(options: argparse.Namespace, reports: dict[Source, list[Report]], figures: Figures) -> None:
    rounds = 1 if options.quick else 5
    pool = shuffled(reports[Source.GENERATED], options.seed)
    for report in pool[:20]:
        check(report)  # what is read once isn't part of a check's time
    timed = Figures(
        outcomes=figures.outcomes,
        alarms=figures.alarms,
        timings=time_checks(pool, rounds),
        lengths=time_lengths(pool, LENGTHS, rounds),
    )
    show(timed, Console(file=sys.stdout, width=140))
    JSON_FOLDER.mkdir(parents=True, exist_ok=True)
    told = as_json(timed) | {"seed": options.seed, "per_kind": options.per_kind, "quick": options.quick}
    (JSON_FOLDER / "guard.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if options.picture:
        draw(timed, JSON_FOLDER / PICTURE.name if options.quick else PICTURE)


def _print_misses(outcomes: Sequence[Outcome], count: int) -> None:
    for outcome in _take_turns([o for o in outcomes if not o.right])[:count]:
        made = outcome.injection
        print(f"\n## {made.report.id}  {made.sub}  {made.about}{'  (another kind was raised)' if outcome.any else ''}")
        _print_report(made.report, _marked(made))


def _take_turns(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """One from each source in turn, so that no source fills the list."""
    by_source = [[o for o in outcomes if o.injection.report.source is source] for source in Source]
    longest = max(map(len, by_source), default=0)
    return [them[n] for n in range(longest) for them in by_source if n < len(them)]


def _print_alarms(alarms: Sequence[Alarm], kind: str, count: int) -> None:
    for alarm in [a for a in alarms if kind in a.kinds][:count]:
        print(f"\n## {alarm.report.id}")
        for flag in alarm.flags:
            if flag.kind == kind:
                print(f"   {flag.severity}: {flag.message}")
        _print_report(alarm.report, alarm.report.impression)


def _marked(made: Injection) -> str:
    """The impression with the error between «»."""
    text = made.report.impression
    return f"{text[: made.span[0]]}«{text[slice(*made.span)]}»{text[made.span[1] :]}" if made.span else text


def _print_report(report: Report, impression: str) -> None:
    print(f"   {report.modality} {report.sex} {report.age or ''}  {report.indication}  Comparison: {report.comparison}")
    print(f"   Findings:   {report.findings}\n   Impression: {impression}")


_PROGRESS = Console(stderr=True)

if __name__ == "__main__":
    main()
