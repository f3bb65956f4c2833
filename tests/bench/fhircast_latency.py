"""Findings in to draft out over FHIRcast, and over HL7 v2 beside it. Run it by `make bench`.

A whole gateway with the embedded model. One report at a time: over FHIRcast it is opened, and the clock runs from the
POST of its update to the draft's event on the WebSocket; over HL7 v2 from the ORU^R01 to the draft at a listening peer.
Both wait for the text to rest (`settle_s`, meant), which is taken off in the second pair of columns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.support.dictation import Dictation, listening
from tests.support.fhircast import observation, put, report_context, update_context
from tests.support.fhircast_client import Cast, application
from tests.support.gateway import GatewayProcess
from tests.support.ris import FINDINGS, Ris

SETTLE_MS = 50.0
"""As `GatewayProcess` sets it."""
WARM_UP = 3


async def run(count: int, folder: Path, strategy: str) -> dict[str, list[float]]:
    """Milliseconds from findings to draft by wire, one value a report; the wires take turns."""
    found: dict[str, list[float]] = {"FHIRcast": [], "HL7 v2": []}
    async with listening() as dictation:
        model = f'url = "embedded"\nstrategy = "{strategy}"\ndeadline_s = 30.0'
        async with (
            GatewayProcess(folder, [dictation.port], model=model) as gateway,
            application(f"http://127.0.0.1:{gateway.http_port}/fhircast") as cast,
        ):
            for number in track(range(count + WARM_UP), strategy, console=Console(stderr=True)):
                values = {
                    "FHIRcast": await by_fhircast(cast, number),
                    "HL7 v2": await by_hl7(gateway, dictation, number),
                }
                if number >= WARM_UP:  # the first ones warm the connections and the model
                    for wire, value in values.items():
                        found[wire].append(value)
    return found


async def by_fhircast(cast: Cast, number: int) -> float:
    """One report, opened, dictated and closed in a session."""
    report, accession = f"r{number}", f"F{number:05d}"
    heard = len(cast.events)
    await cast.post("DiagnosticReport-open", report_context(accession, report))
    await cast.wait(heard + 1)
    context = update_context(put(observation(f"{FINDINGS} Series {number + 1}.")), report=report)
    began = perf_counter()
    answer = await cast.post("DiagnosticReport-update", context, cast.version)
    answer.raise_for_status()
    await cast.wait(heard + 3)
    total = (perf_counter() - began) * 1000
    await cast.post("DiagnosticReport-close", report_context(accession, report)[:1])
    await cast.wait(heard + 4)
    return total


async def by_hl7(gateway: GatewayProcess, dictation: Dictation, number: int) -> float:
    """One report over MLLP both ways."""
    accession = f"L{number:05d}"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.hl7_port)
    began = perf_counter()
    writer.write(b"\x0b" + Ris(accession=accession).dictated(f"{FINDINGS} Series {number + 1}.") + b"\x1c\r")
    async with asyncio.timeout(60):
        while not dictation.of(accession):
            await asyncio.sleep(0.001)
    total = (perf_counter() - began) * 1000
    await reader.readuntil(b"\x1c\r")
    writer.close()
    return total


def show(strategy: str, found: dict[str, list[float]]) -> None:
    """p50 and p95 of each wire."""
    table = Table(f"{strategy}: ms", "p50", "p95", "p50 - settle", "p95 - settle")
    for wire, values in found.items():
        cuts = statistics.quantiles(values, n=20)
        table.add_row(wire, *(f"{cuts[at] - off:.1f}" for off in (0.0, SETTLE_MS) for at in (9, 18)))
    Console().print(table)


def main() -> None:
    """`python -m tests.bench.fhircast_latency --count 60 [--strategy coarse] [--json FILE]`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="reports on each wire")
    parser.add_argument("--strategy", action="append", choices=("coarse", "coarse_to_fine"))
    parser.add_argument("--json", type=Path, help="write the values there too")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: the temporary folder's")
    args = parser.parse_args()
    found = {}
    for strategy in args.strategy or ("coarse", "coarse_to_fine"):
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            found[strategy] = asyncio.run(run(args.count, Path(folder), strategy))
        show(strategy, found[strategy])
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
