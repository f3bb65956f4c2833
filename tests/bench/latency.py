"""Findings in to draft out, and how much of it is not the engine. Run it by `make bench`.

A whole gateway with the embedded model. One report at a time goes in over MLLP; the clock stops when its draft arrives
at a listening peer. Taken apart with what the journal noted: the wait for the text to rest (`settle_s`, meant), the
engine's own time, and the rest, which is RadBridge: commits, normalizing, HTTP, coarse stage, guard, composing, MLLP.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

import orjson
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.support.dictation import Dictation, listening
from tests.support.gateway import GatewayProcess
from tests.support.ris import FINDINGS, Ris

SETTLE_S = 0.05


async def run(count: int, folder: Path, strategy: str) -> dict[str, list[float]]:
    """Milliseconds by part, one value a report."""
    parts: dict[str, list[float]] = {"total": [], "settle": [], "engine": [], "the rest": []}
    async with listening() as dictation:
        model = f'url = "embedded"\nstrategy = "{strategy}"\ndeadline_s = 30.0'
        gateway = GatewayProcess(folder, [dictation.port], model=model)
        await gateway.start()
        try:
            with Progress(console=Console(stderr=True)) as progress:
                for number in progress.track(range(-3, count), description=strategy):
                    total, engine = await _one(gateway, dictation, f"L{number + 3:05d}")
                    if number >= 0:  # the first ones warm the connections and the LoRA
                        parts["total"].append(total)
                        parts["settle"].append(SETTLE_S * 1000)
                        parts["engine"].append(engine)
                        parts["the rest"].append(total - SETTLE_S * 1000 - engine)
        finally:
            await gateway.stop()
    return parts


async def _one(gateway: GatewayProcess, dictation: Dictation, accession: str) -> tuple[float, float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.hl7_port)
    began = perf_counter()
    findings = f"{FINDINGS} Series {int(accession[1:]) + 1}."  # not the accession: the guard would keep its draft back
    writer.write(b"\x0b" + Ris(accession=accession).dictated(findings) + b"\x1c\r")
    async with asyncio.timeout(60):
        while not dictation.of(accession):
            await asyncio.sleep(0.001)
    total = (perf_counter() - began) * 1000
    await reader.readuntil(b"\x1c\r")
    writer.close()
    [row] = gateway.query("SELECT document FROM draft WHERE accession = ?", accession)
    timings = orjson.loads(row[0])["timings_ms"]
    return total, float(timings.get("engine", 0.0)) + float(timings.get("queue", 0.0))


def show(strategy: str, parts: dict[str, list[float]]) -> None:
    """p50 and p99 of each part."""
    table = Table(f"{strategy}: ms", "p50", "p99")
    for name, values in parts.items():
        cuts = statistics.quantiles(values, n=100)
        table.add_row(name, f"{cuts[49]:.1f}", f"{cuts[98]:.1f}")
    Console().print(table)


def main() -> None:
    """`python -m tests.bench.latency --count 100 [--json FILE]`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="reports for each strategy")
    parser.add_argument("--json", type=Path, help="write the values there too")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: the temporary folder's")
    args = parser.parse_args()
    found = {}
    for strategy in ("coarse", "coarse_to_fine"):
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            found[strategy] = asyncio.run(run(args.count, Path(folder), strategy))
        show(strategy, found[strategy])
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
