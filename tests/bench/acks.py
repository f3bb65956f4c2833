"""Durable acknowledgements a second, beside servers that promise less. Run it by `make bench`.

Each server is a process of its own and answers the same 1.4 KB ORU^R01 on 1, 4, 16 and 64 connections, one at a time
on each. RadBridge's answer means: committed with fsync, and applied behind the answer while more come in; on SQLite or
PostgreSQL, with as many cases stored before as told, by one gateway or by two. Beside it:

    python-hl7     parses with python-hl7 and stores nothing
    hl7apy         its own MLLPServer, which opens a connection for every message and stores nothing
    fdatasync      appends the bytes to a file and calls fdatasync once a message, parses nothing

The sender is a process too. What an answer costs is told for each: sender, gateways, database. As it is, it takes three
minutes; `--whole` adds a million stored cases and takes twenty. `--markdown` prints what docs/performance.md has.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.fill import fill
from tests.support.gateway import GatewayProcess, free_port
from tests.support.postgres import Cluster

CONNECTIONS = (1, 4, 16, 64)
PEERS = ("python-hl7", "hl7apy", "fdatasync")
CASES = {False: (0,), True: (0, 1_000_000)}
"""Stored before: usually, and with `--whole`."""
WARM_S = 0.5
_TICKS = os.sysconf("SC_CLK_TCK")
Row = dict[str, Any]
console = Console(stderr=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """What is measured."""

    name: str
    ports: Sequence[int]
    pids: Sequence[int]
    """The server's own processes."""
    cluster: Cluster | None = None
    """Its database's."""
    reconnect: bool = False


def processor_s(pid: int) -> float:
    """What a process has used so far, with those of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICKS


def send(server: Server, connections: int, seconds: float, first: int) -> Row:
    """Let the sender loose on a server; what it found, and what an answer cost the others."""
    command = [sys.executable, "-m", "tests.bench.ack_client", *map(str, server.ports)]
    command += ["--connections", str(connections), "--seconds", str(seconds), "--first", str(first)]
    before = _used(server)
    told = subprocess.run(
        [*command, "--reconnect"] if server.reconnect else command, capture_output=True, check=False, env=_environment()
    )
    if told.returncode:
        raise RuntimeError(told.stderr.decode())
    row: Row = json.loads(told.stdout)
    after = _used(server)
    costs = {part: round((after[part] - before[part]) / row["count"] * 1e6, 1) for part in after}
    return {"server": server.name, "connections": connections, **row, **costs}


def _used(server: Server) -> dict[str, float]:
    database = server.cluster.pids if server.cluster else []
    return {
        "server_us": sum(processor_s(pid) for pid in server.pids),
        "database_us": sum(processor_s(pid) for pid in database),
    }


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": "."}


@contextmanager
def peer(name: str, folder: Path) -> Iterator[Server]:
    """One of `PEERS`, in a process of its own."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.ack_peers", name, str(port), str(folder / "peer.log")],
        stdout=subprocess.PIPE,
        env=_environment(),
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield Server(name=name, ports=[port], pids=[process.pid], reconnect=name == "hl7apy")
    finally:
        process.kill()
        process.wait()


def measure(server: Server, counts: Sequence[int], seconds: float) -> list[Row]:
    """At each number of connections."""
    rows = []
    for connections in counts:
        send(server, connections, WARM_S, connections * 10_000_000)
        rows.append(send(server, connections, seconds, connections * 10_000_000 + 500_000))
        console.print(rows[-1])
    return rows


async def measure_gateways(
    store: str, cluster: Cluster | None, folder: Path, args: argparse.Namespace, what: Row
) -> list[Row]:
    """So many gateways on one store as `what` says, whatever is in it."""
    started: list[GatewayProcess] = []
    try:
        for _ in range(what["gateways"]):
            gateway = GatewayProcess(
                Path(tempfile.mkdtemp(dir=folder)),
                model='url = "http://127.0.0.1:9"',
                store=store,
                module="radbridge" if what["bells"] == "on" else "tests.bench.ack_mute",
                environment=_environment(),
            )
            await gateway.start(ready=False)
            started.append(gateway)
        server = Server(
            name="RadBridge",
            ports=[gateway.hl7_port for gateway in started],
            pids=[gateway.process.pid for gateway in started if gateway.process],
            cluster=cluster,
        )
        rows = await asyncio.to_thread(measure, server, args.connections, args.seconds)
    finally:
        for gateway in started:
            await gateway.stop()
    return [{**row, **what} for row in rows]


async def run(args: argparse.Namespace, folder: Path) -> list[Row]:
    """Measure every server at every number of connections."""
    rows: list[Row] = []
    for name in args.peers:
        with peer(name, folder) as server:
            rows += measure(server, args.connections, args.seconds)
    for store in args.stores:
        with ExitStack() as stack:
            cluster = stack.enter_context(Cluster(parent=folder)) if store == "postgresql" else None
            for cases in args.cases:
                made = _fill(cluster, folder, cases)
                for gateways, bells in product(args.gateways, args.bells) if cluster else [(1, "on")]:
                    url = _copy(cluster, folder, made)
                    os.sync()  # what was written for the copy is no part of what is measured
                    what = {"store": store, "cases": cases, "gateways": gateways, "bells": bells}
                    rows += await measure_gateways(url, cluster, folder, args, what)
    return rows


def _fill(cluster: Cluster | None, folder: Path, cases: int) -> str:
    """A store with so many cases, which is made once and copied for each run; its database or file."""
    if cluster is None:
        file = folder / f"{cases}.db"
        fill(f"sqlite:///{file}", cases)
        return str(file)
    name = cluster.empty_database()
    fill(cluster.url(name), cases)
    return name


def _copy(cluster: Cluster | None, folder: Path, made: str) -> str:
    """Its copy's URL."""
    if cluster is not None:
        return cluster.url(cluster.empty_database(f"TEMPLATE {made}"))
    copy = folder / "radbridge.db"
    for old in folder.glob("radbridge.db*"):
        old.unlink()
    shutil.copyfile(made, copy)
    return f"sqlite:///{copy}"


_COLUMNS = {
    "connections": "connections",
    "acks_per_s": "ACKs/s",
    "x": "of fdatasync",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "server_us": "gateway µs",
    "database_us": "database µs",
    "client_us": "sender µs",
}


def lines_of(rows: list[Row]) -> Iterator[list[str]]:
    """What a table says of each row; where fdatasync ran too, with the ratio to it."""
    peers = {row["connections"]: row["acks_per_s"] for row in rows if row["server"] == "fdatasync"}
    for row in rows:
        name = row["server"]
        if "store" in row:
            name = f"{row['store']}, {row['cases']:,} cases, {row['gateways']} gateway(s), bells {row['bells']}"
        ratio = f"{row['acks_per_s'] / peers[row['connections']]:.2f}" if row["connections"] in peers else ""
        yield [name, *(str({**row, "x": ratio}[column]) for column in _COLUMNS)]


def show(rows: list[Row], *, as_markdown: bool) -> None:
    """The table, on the terminal or as docs/performance.md has it."""
    head = ["server", *_COLUMNS.values()]
    if as_markdown:
        for line in (head, ["---"] * len(head), *lines_of(rows)):
            print("| " + " | ".join(line) + " |")
        return
    table = Table(*head)
    for line in lines_of(rows):
        table.add_row(*line)
    Console(width=150).print(table)


def main() -> None:
    """`python -m tests.bench.acks --seconds 4 [--whole] [--json FILE] [--folder DIR] [--stores sqlite --cases 0]`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each server and number of connections")
    parser.add_argument("--connections", type=int, nargs="*", default=CONNECTIONS)
    parser.add_argument("--stores", nargs="*", default=("sqlite", "postgresql"))
    parser.add_argument("--cases", type=int, nargs="*", help="stored before")
    parser.add_argument("--whole", action="store_true", help="with a million stored cases too")
    parser.add_argument("--gateways", type=int, nargs="*", default=(1, 2), help="on one PostgreSQL")
    parser.add_argument("--bells", nargs="*", choices=("on", "off"), default=("on",), help="NOTIFY, on PostgreSQL")
    parser.add_argument("--peers", nargs="*", default=PEERS)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--markdown", action="store_true", help="print the table as the documentation has it")
    parser.add_argument("--read", type=Path, help="measure nothing: show the rows that --json has written")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: the temporary folder's")
    args = parser.parse_args()
    args.cases = CASES[args.whole] if args.cases is None else args.cases
    if args.read:
        show(json.loads(args.read.read_text()), as_markdown=args.markdown)
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        Path(folder).chmod(0o755)  # PostgreSQL may run as somebody else
        rows = asyncio.run(run(args, Path(folder)))
    show(rows, as_markdown=args.markdown)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
