"""DICOM objects stored a second, and the memory that a large one takes. Run it by `make bench`.

Every server is a process of its own; DCMTK's `dcmsend` sends the same files to each, in turn, without Nagle's
algorithm. A round has new objects, so that nobody is measured on what it has already. RadBridge is the whole gateway,
and its answer means that what the object says is committed with fsync. Beside it:

    Orthanc      keeps the objects, and commits its index
    storescp     DCMTK's, a process for each association, writes files without fsync
    files        bare pynetdicom, writes files without fsync
    nothing      bare pynetdicom, keeps nothing

A rate is of the whole `dcmsend`, its start and its reading of the files included. Read the ratios: each is the median
of those of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench import dicom_peers as peers
from tests.support.gateway import GatewayProcess

ASSOCIATIONS = (1, 4)
SIDES = {"CT": 128, "CR": 256}
LARGE = 512 * 2**20
HUGE = 2 * 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One server, one set of objects."""

    server: str
    modality: str
    associations: int
    per_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What one large object took, in MiB."""

    server: str
    seconds: float
    before: float
    more: float
    """At the peak, beyond what the server had before."""


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[tuple[GatewayProcess, dict[str, tuple[int, int]]]]:
    """The gateway, and port and process id of each server."""
    gateway = GatewayProcess(folder, model='url = "http://127.0.0.1:9"')
    await gateway.start(ready=False)
    try:
        assert gateway.process is not None
        with ExitStack() as stack:
            yield (
                gateway,
                {
                    "RadBridge": (gateway.dicom_port, gateway.process.pid),
                    "Orthanc": stack.enter_context(peers.orthanc(folder / "orthanc")),
                    "storescp": stack.enter_context(peers.storescp(folder / "storescp")),
                    "files": stack.enter_context(peers.pynetdicom("files", folder / "files")),
                    "nothing": stack.enter_context(peers.pynetdicom("nothing", folder / "nothing")),
                },
            )
    finally:
        await gateway.stop()


def measure(named: dict[str, tuple[int, int]], folder: Path, *, rounds: int, count: int) -> list[Run]:
    """Every server, every kind of object, 1 and 4 associations; the servers take turns."""
    runs: list[Run] = []
    plan = [(n, m, a) for n in range(rounds) for m in SIDES for a in ASSOCIATIONS]
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("objects", total=len(plan) * len(named))
        for number, (turn, modality, associations) in enumerate(plan):
            sent = peers.make_set(
                folder, number, count=count, modality=modality, side=SIDES[modality], lanes=associations
            )
            names = list(named)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                seconds = peers.send(named[name][0], sent)
                runs.append(Run(server=name, modality=modality, associations=associations, per_s=count / seconds))
                progress.advance(bar)
            for lane in sent:
                rmtree(lane)
    return runs


def weigh(named: dict[str, tuple[int, int]], folder: Path, *, size: int) -> list[Memory]:
    """One large object to each server."""
    found: list[Memory] = []
    for number, (name, (port, pid)) in enumerate(named.items(), start=900):
        sent = peers.make_huge(folder, number, size=size)
        peers.forget_peak(pid)
        before = peers.rss(pid, "VmRSS")
        seconds = peers.send(port, [sent])
        more = max(0.0, peers.rss(pid, "VmHWM") - before)
        found.append(Memory(server=name, seconds=round(seconds, 2), before=round(before), more=round(more)))
        rmtree(sent)
    return found


def ratios(runs: list[Run]) -> dict[tuple[str, str, int], float]:
    """By server, modality and associations: RadBridge's rate over the server's, the median of the rounds."""
    rates = _rates(runs)
    found = {}
    for (server, modality, associations), theirs in rates.items():
        ours = rates["RadBridge", modality, associations]
        found[server, modality, associations] = statistics.median(o / t for o, t in zip(ours, theirs, strict=True))
    return found


def _rates(runs: list[Run]) -> dict[tuple[str, str, int], list[float]]:
    rates: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    for run in runs:
        rates[run.server, run.modality, run.associations].append(run.per_s)
    return rates


def show(runs: list[Run], memories: list[Memory]) -> None:
    """Both tables."""
    rates, against = _rates(runs), ratios(runs)
    columns = [(m, a) for m in SIDES for a in ASSOCIATIONS]
    table = Table("server", *(f"{m}, {a}" for m, a in columns), title="objects/s by associations; RadBridge is … of it")
    for server in dict.fromkeys(run.server for run in runs):
        cells = []
        for modality, associations in columns:
            key = (server, modality, associations)
            rate = f"{statistics.median(rates[key]):.0f}"
            cells.append(rate if server == "RadBridge" else f"{rate} ({against[key]:.2f}x)")
        table.add_row(server, *cells)
    Console().print(table)
    table = Table("server", "seconds", "MiB before", "MiB more", title="one large object")
    for memory in memories:
        table.add_row(memory.server, *(f"{v:g}" for v in (memory.seconds, memory.before, memory.more)))
    Console().print(table)
    Console().print("load average", *(f"{load:.1f}" for load in os.getloadavg()))


async def run(folder: Path, *, rounds: int, count: int, size: int) -> tuple[list[Run], list[Memory]]:
    """Both measurements."""
    sent = folder / "sent"
    sent.mkdir()
    async with servers(folder) as (gateway, named):
        runs = await asyncio.to_thread(measure, named, sent, rounds=rounds, count=count)
        [[kept]] = gateway.query("SELECT count(*) FROM dicom_instance")
        wanted = rounds * count * len(SIDES) * len(ASSOCIATIONS)
        if kept != wanted:  # dcmsend may end as if all were well
            raise RuntimeError(f"RadBridge kept {kept} of {wanted} objects")
        return runs, await asyncio.to_thread(weigh, named, sent, size=size)


def main() -> None:
    """`python -m tests.bench.dicom_storage [--rounds 3] [--quick] [--huge] [--json FILE] [--folder DIR]`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of 100 objects and 64 MB: shows that it runs")
    parser.add_argument("--huge", action="store_true", help="2 GB instead of 512 MB")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: the temporary folder's")
    args = parser.parse_args()
    size = 64 * 2**20 if args.quick else HUGE if args.huge else LARGE
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        runs, memories = asyncio.run(
            run(Path(folder), rounds=1 if args.quick else args.rounds, count=100 if args.quick else 500, size=size)
        )
    show(runs, memories)
    if args.json:
        args.json.write_text(json.dumps([*map(asdict, runs), *map(asdict, memories)], indent=1) + "\n")


if __name__ == "__main__":
    main()
