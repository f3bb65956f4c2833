"""A night of everything at once: `make torture ARGS="--seconds 600 --seed 7"`.

Gateways are killed, stopped, their clocks stepped, the database taken away, connections cut in mid-frame, while eight
RIS send and three destinations misbehave. Then all is calm, and `checker.py` holds the ledgers and the database against
the promises. Status 1 when one was broken. The evidence stays in `--keep FOLDER`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psycopg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.torture.checker import PROMISES, QUIET_S, check
from tests.torture.events import Events
from tests.torture.evidence import Evidence, read_ledgers, save
from tests.torture.mutants import MUTANTS
from tests.torture.stage import Stage
from tests.torture.tables import count_waiting, read_tables, unowned_leases

EVENTS = {
    "kill": "gateway killed",
    "stop": "gateway stood still",
    "held_up_apply": "message held up",
    "held_up_store": "draft held up",
    "database_gone": "PostgreSQL killed or standing still",
    "full": "disk full",
    "cut": "ways to PostgreSQL cut",
    "reset": "all connections reset",
    "clock": "clock stepped",
    "pause": "destination paused",
    "locked": "SQLite locked",
    "died": "gateway ended by itself",
}
"""What the controller notes, and how it is told. What isn't here is the end of another."""
PATIENCE = 3
"""Times the promised quiet that is waited for, so that what comes late is seen to come."""


async def torture(stage: Stage, seconds: float, only: Sequence[str], console: Console) -> Evidence:
    """One run, and what is known of it. SIGTERM ends it with everything that it started."""
    run = asyncio.current_task()
    assert run is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, run.cancel)
    async with stage:
        stage.ledger.note("began", wall=time.time())
        watching = asyncio.create_task(_watch(stage))
        with Progress(console=console, transient=True) as progress:
            bar = progress.add_task("torture", total=seconds)
            began = time.monotonic()

            def tell(event: str) -> None:
                progress.console.print(f"{time.monotonic() - began:6.1f} s  {event}")
                progress.update(bar, completed=time.monotonic() - began)

            await Events(stage, random.Random(stage.seed), only).run(seconds, tell)
            await stage.calm_down()
            progress.update(bar, completed=seconds, description="until all is done")
            await _settle(stage)
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching  # raises what it died of: without its notes nothing is known of leases
        tables = await asyncio.to_thread(read_tables, stage.store)
        # In threads: the gateways' ways to the database and their peers go through this process.
        ended = await asyncio.gather(*(asyncio.to_thread(gateway.stop) for gateway in stage.up))
        for gateway, status in zip(stage.up, ended, strict=True):
            stage.note("ended", gateway=gateway.name, status=status)
    return Evidence(notes=read_ledgers(stage.folder), tables=tables)


async def _settle(stage: Stage) -> None:
    """Wait until nothing is to be done any more, and note when that was."""
    end = time.monotonic() + PATIENCE * QUIET_S
    left: dict[str, int] = {}
    while time.monotonic() < end:
        await asyncio.sleep(0.25)
        if stage.is_sending:
            continue
        left = await asyncio.to_thread(count_waiting, stage.store)
        if not any(left.values()):
            stage.ledger.note("quiet")
            return
    stage.ledger.note("restless", left=left, sending=stage.is_sending)


async def _watch(stage: Stage) -> None:
    """Note twice a second which leases nobody holds; start again what died."""
    while True:
        await asyncio.sleep(0.5)
        for gateway in stage.up:
            if gateway.has_died:
                stage.note("died", gateway=gateway.name)
                gateway.start()
        alive = len(stage.at_work)
        try:
            unowned = await asyncio.to_thread(unowned_leases, stage.store)
        except psycopg.OperationalError:  # the database is away: that is what the run is for
            unowned, alive = [], 0
        stage.ledger.note("leases", unowned=unowned, alive=alive, lease_s=stage.up[0].lease_s)


def tell(evidence: Evidence, broken: dict[str, list[str]], name: str, console: Console) -> None:
    """What became of each promise, and the run as a row for docs/reliability.md."""
    table = Table("promise", "", "broken")
    for promise, problems in broken.items():
        table.add_row(promise, (PROMISES[promise].__doc__ or "").partition(": ")[2], str(len(problems)))
    console.print(table)
    for promise, problems in broken.items():
        for problem in problems[:10]:
            console.print(f"[red]{promise}[/] {problem}", highlight=False)
    head = "| run | acknowledged | drafts asked for | copies at destinations | events | quiet after | broken |"
    row = _row(evidence, broken, name)
    console.print(f"\n{head}\n{'|---' * 7}|\n{row}", soft_wrap=True, highlight=False, markup=False)


def _row(evidence: Evidence, broken: dict[str, list[str]], name: str) -> str:
    events = Counter(EVENTS[note["kind"]] for note in evidence.of("event") if note["kind"] in EVENTS)
    calm, quiet = evidence.of("calm"), evidence.of("quiet")
    took = f"{quiet[-1]['t'] - calm[-1]['t']:.0f} s" if calm and quiet else "never"
    cells = (
        name,
        f"{len(evidence.acknowledged):,} in {len(evidence.attempts):,} attempts",
        f"{len(evidence.of('asked')):,}",
        f"{len(evidence.of('came')):,}",
        ", ".join(f"{kind} {times}" for kind, times in events.most_common()),
        took,
        ", ".join(f"{promise}: {len(problems)}" for promise, problems in broken.items() if problems) or "none",
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """`python -m tests.torture --seconds 60 --seed 1 [--store sqlite|postgresql] [--mutant NAME] [--keep FOLDER]`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="postgresql")
    parser.add_argument("--gateways", type=int, default=2, help="on PostgreSQL; SQLite has one")
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--only", action="append", default=[], metavar="EVENT", help="such as 'kill a gateway'")
    parser.add_argument(
        "--mutant", choices=tuple(MUTANTS), default="", help="take a safeguard out: the run must then fail"
    )
    parser.add_argument("--keep", type=Path, help="leave ledgers, logs and evidence.json.gz there")
    args = parser.parse_args()
    console = Console(width=140)
    with tempfile.TemporaryDirectory(prefix="torture") as made:
        folder = args.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            parser.error(f"--keep: {folder} isn't empty")
        gateways = 1 if args.store == "sqlite" else args.gateways
        stage = Stage(folder, args.store, gateways, args.seed, mutant=args.mutant, senders=args.senders)
        only = args.only or (MUTANTS[args.mutant].events if args.mutant else ())
        evidence = asyncio.run(torture(stage, args.seconds, only, console))
        save(evidence, folder / "evidence.json.gz")
        broken = check(evidence)
        (folder / "broken.json").write_text(json.dumps(broken, indent=1))
        name = f"{args.store}, {args.seconds:g} s, seed {args.seed}, {args.senders} RIS"
        name += f", only: {', '.join(args.only)}" if args.only else ""
        name += f", without {args.mutant}" if args.mutant else ""
        tell(evidence, broken, name, console)
    raise SystemExit(any(broken.values()))


if __name__ == "__main__":
    main()
