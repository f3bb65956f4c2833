"""A whole day of a department, sixty times as fast: does anything grow? Run it by `make day`.

2,000 studies in three shifts go through a gateway as the operator runs it; a minute of the clock is an hour of the day.
Every five seconds memory, open files, threads, the size of the journal and the age of what waits are noted. What the
load brings goes with it, and what leaks stays: so an hour counts by its lowest value. What is flat has by these a slope
of less than 1 % an hour over the last eighteen hours of the day.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from tests.bench.day_script import HOURS, STUDIES, Sending, write_day
from tests.support.dictation import listening
from tests.support.gateway import GatewayProcess

PICTURE = Path("docs/pictures/day.svg")
EVERY_S = 5.0
EMBEDDED = 'url = "embedded"\nstrategy = "coarse"'
WARM_H = 6
"""Caches fill and pools grow until then."""
CONNECTIONS = 4
FLAT_PERCENT = 1.0
AGES = """SELECT
 (SELECT min(received_at) FROM message WHERE state = 'accepted'),
 (SELECT min(ready_at) FROM draft_request),
 (SELECT min(created_at) FROM delivery WHERE state = 'pending')"""

WAITING = """SELECT (SELECT count(*) FROM message WHERE state = 'accepted'), (SELECT count(*) FROM draft_request),
 (SELECT count(*) FROM delivery WHERE state = 'pending')"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """What was seen at one moment."""

    hour: float
    rss_mb: float
    files: int
    """Open files of every kind."""
    journal_files: int
    """Those of the journal: of each connection to SQLite the database and its log."""
    sockets: int
    threads: int
    journal_mb: float
    message_age_s: float
    request_age_s: float
    delivery_age_s: float


FLAT = ("rss_mb", "files", "threads")


async def run(
    folder: Path, day: Sequence[Sending], speed: float, *, every_s: float = EVERY_S, model: str = EMBEDDED
) -> list[Sample]:
    """Live through the day; the samples. `model` is what the site's file says of it."""
    async with listening() as dictation:
        gateway = GatewayProcess(folder, [dictation.port], model=model)
        async with gateway:
            began = time.monotonic()
            sending = asyncio.create_task(_send_all(gateway.hl7_port, day, began, speed))
            samples = []
            with Progress(console=Console(stderr=True)) as progress:
                bar = progress.add_task("", total=HOURS)
                while not sending.done() or await _is_busy(gateway):
                    await asyncio.sleep(every_s)
                    samples.append(await asyncio.to_thread(_look, gateway, (time.monotonic() - began) * speed / 3600))
                    progress.update(bar, completed=samples[-1].hour, description=f"{samples[-1].hour:4.1f} h")
            sending.result()
    return samples


async def _is_busy(gateway: GatewayProcess) -> bool:
    (counts,) = await asyncio.to_thread(gateway.query, WAITING)
    return any(counts)


async def _send_all(port: int, day: Sequence[Sending], began: float, speed: float) -> None:
    """A study's messages go over one connection, each when its time has come."""
    lanes = [[s for s in day if int(s.accession[1:]) % CONNECTIONS == n] for n in range(CONNECTIONS)]
    await asyncio.gather(*(_send(port, lane, began, speed) for lane in lanes))


async def _send(port: int, lane: Sequence[Sending], began: float, speed: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for sending in lane:
        await asyncio.sleep(max(0.0, began + sending.at_h * 3600 / speed - time.monotonic()))
        writer.write(b"\x0b" + sending.raw + b"\x1c\r")
        answer = await reader.readuntil(b"\x1c\r")
        if b"MSA|AA" not in answer:
            raise RuntimeError(f"not acknowledged: {answer!r}")
    writer.close()


def _look(gateway: GatewayProcess, hour: float) -> Sample:
    assert gateway.process is not None
    gateway.get("/metrics")  # as whoever watches it does
    proc, store = Path(f"/proc/{gateway.process.pid}"), gateway.folder / "radbridge.db"
    kinds = Counter(map(_kind, (proc / "fd").iterdir()))
    said = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    ((message, request, delivery),) = gateway.query(AGES)
    return Sample(
        hour=hour,
        rss_mb=int(said["VmRSS"].split()[0]) / 1024,
        files=kinds.total(),
        journal_files=kinds["journal"],
        sockets=kinds["socket"],
        threads=int(said["Threads"]),
        journal_mb=sum(file.stat().st_size for file in store.parent.glob(f"{store.name}*")) / 2**20,
        message_age_s=_age(message),
        request_age_s=_age(request),
        delivery_age_s=_age(delivery),
    )


def _kind(file: Path) -> str:
    """Of an open file, by what its number stands for."""
    with contextlib.suppress(OSError):  # it was closed meanwhile
        what = file.readlink()
        return "journal" if what.name.startswith("radbridge.db") else str(what).partition(":")[0]
    return "closed"


def _age(since: str | None) -> float:
    return (
        0.0
        if since is None
        else max(0.0, (datetime.now(UTC) - datetime.fromisoformat(f"{since}+00:00")).total_seconds())
    )


def slope(samples: Sequence[Sample], name: str) -> float:
    """Per cent of the mean by which the lowest value of an hour grows each hour, once it is warm."""
    lowest: dict[int, float] = {}
    for sample in samples:
        if WARM_H <= sample.hour < HOURS:
            value = float(getattr(sample, name))
            lowest[int(sample.hour)] = min(value, lowest.get(int(sample.hour), value))
    line = statistics.linear_regression(list(lowest), list(lowest.values()))
    return float(100 * line.slope / statistics.mean(lowest.values()))


def show(samples: Sequence[Sample]) -> bool:
    """Print the day as Markdown, the highest value of every second hour; whether it is flat."""
    names = [f.name for f in fields(Sample)]
    print("| " + " | ".join(n.replace("_", " ") for n in names) + " |\n|" + "---|" * len(names))
    for hour in range(0, HOURS, 2):
        part = [s for s in samples if hour <= s.hour < hour + 2]
        if part:
            worst = (max(getattr(s, n) for s in part) for n in names[1:])
            print(f"| {hour} to {hour + 2} | " + " | ".join(f"{v:.4g}" for v in worst) + " |")
    slopes = {name: slope(samples, name) for name in FLAT}
    said = ", ".join(f"{name} {value:+.2f} %" for name, value in slopes.items())
    print(f"\nSlope an hour from {WARM_H}:00 on, by the lowest value of each hour: {said}.")
    return all(value < FLAT_PERCENT for value in slopes.values())


def draw(samples: Sequence[Sample], file: Path) -> None:
    """Memory, files and threads, and the age of what waits, by the hour."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "day"
    hours = [s.hour for s in samples]
    figure, (memory, counts, ages) = plt.subplots(3, 1, figsize=(8, 7), sharex=True, layout="constrained")
    memory.plot(hours, [s.rss_mb for s in samples], label="memory, MB")
    memory.plot(hours, [s.journal_mb for s in samples], label="journal, MB")
    counts.plot(hours, [s.files for s in samples], label="open files")
    counts.plot(hours, [s.journal_files for s in samples], label="of them the journal's")
    counts.plot(hours, [s.threads for s in samples], label="threads")
    for name in ("message_age_s", "request_age_s", "delivery_age_s"):
        ages.plot(hours, [getattr(s, name) for s in samples], label=f"oldest {name.split('_')[0]}, s")
    for axes in (memory, counts, ages):
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))  # beside the lines: they are everywhere
        axes.set_ylim(bottom=0)
    ages.set_xlabel("hour of the day")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    """`python -m tests.bench.day [--speed 60] [--studies 2000] [--json FILE] [--picture FILE]`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed", type=float, default=60.0, help="how much faster than the clock")
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the samples there too")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    args = parser.parse_args()
    day = write_day(args.seed, args.studies)
    with tempfile.TemporaryDirectory() as folder:
        samples = asyncio.run(run(Path(folder), day, args.speed))
    if args.json:
        args.json.write_text(json.dumps([asdict(s) for s in samples], indent=1) + "\n")
    draw(samples, args.picture)
    raise SystemExit(not show(samples))


if __name__ == "__main__":
    main()
