"""Durable acknowledgements a second, beside servers that promise less. Run it by `make bench`.

Each server is a process of its own and answers the same 1.4 KB ORU^R01 on 1, 4 and 16 connections, one at a time
on each. RadBridge's answer means: committed with fsync, and applied behind the answer while more come in. Beside it:

    python-hl7     parses with python-hl7 and stores nothing
    hl7apy         its own MLLPServer, which opens a connection for every message and stores nothing
    fdatasync      appends the bytes to a file and calls fdatasync once a message, parses nothing
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.support.gateway import GatewayProcess, free_port
from tests.support.ris import Ris

CONNECTIONS = (1, 4, 16)
PEERS = ("python-hl7", "hl7apy", "fdatasync")
FILLER = "The lungs are clear apart from the nodule described above, and the pleural spaces are free of fluid. "


def report(number: int) -> bytes:
    """A dictated report of 1.4 KB."""
    raw = Ris(accession=f"B{number:09d}", prefix="").dictated(FILLER * 12)
    return raw[: 1400 - 1].rstrip(b"\r") + b"\r" if len(raw) > 1400 else raw


async def measure(
    port: int, connections: int, seconds: float, first: int, *, reconnect: bool
) -> tuple[float, list[float], int]:
    """Acknowledgements a second, the latencies in ms, and how many there were."""
    latencies: list[float] = []
    end = perf_counter() + seconds

    async def talk(lane: int) -> None:
        number = first + lane * 1_000_000
        reader = writer = None
        while perf_counter() < end:
            if writer is None or reader is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            began = perf_counter()
            writer.write(b"\x0b" + report(number) + b"\x1c\r")
            answer = await reader.readuntil(b"\x1c\r")
            latencies.append((perf_counter() - began) * 1000)
            if b"MSA|AA" not in answer:
                raise RuntimeError(f"not acknowledged: {answer!r}")
            number += 1
            if reconnect:
                writer.close()
                writer = None
        if writer is not None:
            writer.close()

    began = perf_counter()
    await asyncio.gather(*(talk(lane) for lane in range(connections)))
    return len(latencies) / (perf_counter() - began), latencies, len(latencies)


@contextmanager
def peer(name: str, folder: Path) -> Iterator[int]:
    """One of `PEERS`, in a process of its own; its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.ack_peers", name, str(port), str(folder / "peer.log")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "."},
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield port
    finally:
        process.kill()
        process.wait()


async def run(seconds: float, folder: Path) -> list[dict[str, object]]:
    """Measure every server at every number of connections."""
    rows: list[dict[str, object]] = []
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("acks", total=(len(PEERS) + 1) * len(CONNECTIONS))
        for name in PEERS:
            with peer(name, folder) as port:
                for count in CONNECTIONS:
                    rows.append(await _row(name, port, count, seconds))
                    progress.advance(bar)
        gateway = GatewayProcess(folder, model='url = "http://127.0.0.1:9"')
        await gateway.start(ready=False)
        try:
            for count in CONNECTIONS:
                rows.append(await _row("RadBridge", gateway.hl7_port, count, seconds))
                progress.advance(bar)
            waiting = gateway.query("SELECT count(*) FROM message WHERE state = 'accepted'")[0][0]
            began = perf_counter()
            await gateway.until("SELECT count(*) FROM message WHERE state = 'accepted'", 0, within_s=120)
            rows[-1]["applied_behind"] = waiting
            rows[-1]["caught_up_s"] = round(perf_counter() - began, 2)
        finally:
            await gateway.stop()
    return rows


async def _row(name: str, port: int, connections: int, seconds: float) -> dict[str, object]:
    await measure(port, connections, 0.3, connections * 50_000_000 + 500_000_000, reconnect=name == "hl7apy")
    rate, latencies, count = await measure(
        port, connections, seconds, connections * 50_000_000, reconnect=name == "hl7apy"
    )
    cuts = statistics.quantiles(latencies, n=100)
    return {
        "server": name,
        "connections": connections,
        "acks_per_s": round(rate),
        "p50_ms": round(cuts[49], 2),
        "p99_ms": round(cuts[98], 2),
        "count": count,
    }


def show(rows: list[dict[str, object]]) -> None:
    """The table, with RadBridge's ratio to each peer."""
    ours = {r["connections"]: r["acks_per_s"] for r in rows if r["server"] == "RadBridge"}
    table = Table("server", "connections", "ACKs/s", "p50 ms", "p99 ms", "RadBridge is")
    for row in rows:
        ratio = float(str(ours[row["connections"]])) / max(1.0, float(str(row["acks_per_s"])))
        text = "" if row["server"] == "RadBridge" else f"{ratio:.2f}x"
        table.add_row(*(str(row[k]) for k in ("server", "connections", "acks_per_s", "p50_ms", "p99_ms")), text)
    Console().print(table)
    Console().print(
        f"behind the last ACK {rows[-1]['applied_behind']} messages waited; applied in {rows[-1]['caught_up_s']} s"
    )


def main() -> None:
    """`python -m tests.bench.acks --seconds 4 [--json FILE] [--folder DIR]`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each server and number of connections")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: the temporary folder's")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        rows = asyncio.run(run(args.seconds, Path(folder)))
    show(rows)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
