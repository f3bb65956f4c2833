"""What a repair makes of drafts that the guard keeps back, and what it costs.

    .venv/bin/python -m tests.bench.repair [--data FOLDER] [--per-kind 40] [--drafts 300] [--seed 1] [--quick]

First over true impressions with one labelled error each (`tests.bench.guard`), those that the guard keeps back: how
many each way turns into a draft that passes; in how many of these the error is gone, in how many what it had turned is
told rightly, and in how many another true finding is lost. That is told by words alone; the guard isn't asked. Then
over the packaged model's own drafts of clean reports. All shares carry their 95 % Wilson interval. The figures go to
`var/bench/repair.json`; `--show WAY N` prints drafts before and after, `--show "" N` own drafts that are kept back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import structlog
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from radbridge_model_server.service import Service
from tests.bench.guard.change import Injection
from tests.bench.guard.injector import KINDS, inject_all, shuffled
from tests.bench.guard.measure import Rate
from tests.bench.guard.reports import REAL, Report, Source, read_generated, read_hand_written, read_real
from tests.bench.repair_truth import find_wrong, is_gone, is_mended, lost, share_kept
from tests.bench.repair_ways import (
    COARSE,
    DROP,
    WAYS,
    Blocked,
    draft_own,
    drop,
    open_drafter,
    redraft,
    take_coarse,
)
from tests.bench.serving_report import JSON_FOLDER

Row = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Try:
    """One blocked draft with a labelled error, and what each way made of it; empty where it didn't help."""

    injection: Injection
    blocked: Blocked
    texts: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Own:
    """What the packaged model drafted for a clean report."""

    signed: str
    blocked: Blocked


def main() -> None:
    """Read the arguments, measure, show."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asyncio.run(_measure(_parse()))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder with openi/ and mtsamples/: real reports too")
    parser.add_argument("--per-kind", type=int, default=40, help="at most so many errors of a kind and source")
    parser.add_argument("--drafts", type=int, default=300, help="at most so many own drafts of a source")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same errors")
    parser.add_argument("--quick", action="store_true", help="a small variant: shows that it runs, not how good it is")
    parser.add_argument("--show", nargs=2, metavar=("WAY", "N"), help=f"WAY: {', '.join(WAYS)}, or empty: own drafts")
    options = parser.parse_args()
    if options.show and (options.show[0] not in ("", *WAYS) or not options.show[1].isdecimal()):
        parser.error(f"WAY is empty or one of {', '.join(WAYS)}; N is a number")
    if options.data and (absent := [name for name in REAL if not (options.data / name).is_file()]):
        parser.error(f"--data needs a folder with {' and '.join(absent)}")
    if options.quick:
        options.per_kind, options.drafts = min(options.per_kind, 4), min(options.drafts, 20)
    return options


async def _measure(options: argparse.Namespace) -> None:
    reports = {Source.GENERATED: read_generated(1000, options.seed), Source.HAND_WRITTEN: read_hand_written()}
    if options.data:
        reports[Source.REAL] = read_real(options.data)
    made = {source: _inject(those, options) for source, those in reports.items()}
    async with open_drafter() as service:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            tries = {source: await _repair(service, those, progress) for source, those in made.items()}
            own = {
                source: await _draft(service, shuffled(those, options.seed)[: options.drafts], progress)
                for source, those in reports.items()
            }
    if options.show:
        _print(tries, own, options.show[0], int(options.show[1]))
    else:
        _report(
            options, {"kept back": _blocked_rows(made, tries, own), "errors": _way_rows(tries), "own": _own_rows(own)}
        )


def _inject(reports: Sequence[Report], options: argparse.Namespace) -> list[Injection]:
    """Errors that are told in words: neither what is left out, nor what is true, nor another sex of the case."""
    made = (
        inject_all(kind, reports, count=options.per_kind, seed=options.seed) for kind in KINDS if kind != "critical"
    )
    return [injection for those in made for injection in those if find_wrong(injection)]


async def _repair(service: Service, made: Sequence[Injection], progress: Progress) -> list[Try]:
    """Every way, for each of the errors that the guard keeps back."""
    found = [(injection, Blocked(injection.report)) for injection in made]
    kept_back = [(injection, blocked) for injection, blocked in found if blocked.blocking]
    those = [blocked for _, blocked in kept_back]
    bar = progress.add_task("repairing", total=2 * len(those))
    redrafts = [await redraft(service, those, lambda: progress.advance(bar), named=named) for named in (True, False)]
    texts = zip([drop(b) for b in those], [take_coarse(b) for b in those], *redrafts, strict=True)
    return [
        Try(injection=injection, blocked=blocked, texts=dict(zip(WAYS, each, strict=True)))
        for (injection, blocked), each in zip(kept_back, texts, strict=True)
    ]


async def _draft(service: Service, reports: Sequence[Report], progress: Progress) -> list[Own]:
    bar = progress.add_task("drafting", total=len(reports))
    drafted = await draft_own(service, reports, lambda: progress.advance(bar))
    return [Own(signed=r.impression, blocked=Blocked(d)) for r, d in zip(reports, drafted, strict=True)]


def _blocked_rows(
    made: Mapping[Source, Sequence[Injection]],
    tries: Mapping[Source, Sequence[Try]],
    own: Mapping[Source, Sequence[Own]],
) -> list[Row]:
    return [
        {
            "reports": source,
            "with an error": str(Rate(hits=len(tries[source]), total=len(those))),
            "the model's own drafts": str(_rate([bool(o.blocked.blocking) for o in own[source]])),
        }
        for source, those in made.items()
    ]


def _way_rows(tries: Mapping[Source, Sequence[Try]]) -> list[Row]:
    return [_way_row(source, way, those) for way in WAYS for source, those in tries.items()]


def _way_row(source: Source, way: str, tries: Sequence[Try]) -> Row:
    passed = [(t.texts[way], t.injection) for t in tries if t.texts[way]]
    turned = [(text, made) for text, made in passed if any(wrong.truth for wrong in find_wrong(made))]
    kept = [share_kept(text, made) for text, made in passed]
    return {
        "way": way,
        "reports": source,
        "passes": str(Rate(hits=len(passed), total=len(tries))),
        "error gone": str(_rate([is_gone(*each) for each in passed])),
        "told rightly": str(_rate([is_mended(*each) for each in turned])),
        "another finding lost": str(_rate([bool(lost(*each)) for each in passed])),
        "true words kept": f"{mean(kept):.0%}" if kept else "–",
    }


def _own_rows(own: Mapping[Source, Sequence[Own]]) -> list[Row]:
    """What the ways that need no model do for the model's own drafts: nobody labelled those."""
    return [
        {
            "way": way,
            "reports": source,
            "passes": str(_rate([bool(repair(o.blocked)) for o in those if o.blocked.blocking])),
        }
        for way, repair in ((DROP, drop), (COARSE, take_coarse))
        for source, those in own.items()
    ]


def _rate(hits: Sequence[bool]) -> Rate:
    return Rate(hits=sum(hits), total=len(hits))


def _report(options: argparse.Namespace, tables: Mapping[str, list[Row]]) -> None:
    console = Console(file=sys.stdout, width=170)
    for name, rows in tables.items():
        table = Table(*rows[0], title=name, title_justify="left")
        for row in rows:
            table.add_row(*(cell.replace("[", "\\[") for cell in row.values()))
        console.print(table)
    JSON_FOLDER.mkdir(parents=True, exist_ok=True)
    told = dict(tables) | {"per_kind": options.per_kind, "drafts": options.drafts, "seed": options.seed}
    (JSON_FOLDER / "repair.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _print(tries: Mapping[Source, Sequence[Try]], own: Mapping[Source, Sequence[Own]], way: str, count: int) -> None:
    for source in tries:
        if not way:
            for each in [o for o in own[source] if o.blocked.blocking][:count]:
                _print_blocked(each.blocked)
                print(f"   Signed:     {each.signed}\n   Dropped to: {drop(each.blocked)}")
            continue
        for made in [t for t in tries[source] if t.texts[way]][:count]:
            text = made.texts[way]
            _print_blocked(made.blocked)
            print(
                f"   Repaired:   {text}\n   gone: {is_gone(text, made.injection)}, lost: {lost(text, made.injection)}"
            )


def _print_blocked(blocked: Blocked) -> None:
    report = blocked.report
    print(f"\n## {report.id}  {'; '.join(flag.message for flag in blocked.blocking)}")
    print(f"   Findings:   {report.findings}\n   Draft:      {report.impression}")


if __name__ == "__main__":
    main()
