"""Durable acknowledgements a second, beside servers that promise less. Run it by `make bench`.

Each server is a process of its own and answers the same 1.4 KB ORU^R01 on 1, 4, 16 and 64 connections, one at a time
on each. RadBridge's answer means: committed with fsync, and applied behind the answer while more come in; on SQLite or
PostgreSQL, with as many cases stored before as told, by one gateway or by two. Beside it:

    python-hl7     parses with python-hl7 and stores nothing
    hl7apy         its own MLLPServer, which opens a connection for every message and stores nothing
    fdatasync      appends the bytes to a file and calls fdatasync once a message, parses nothing

The sender is a process too. What an answer costs is told for each: sender, gateways, database.
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
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.fill import fill
from tests.support.gateway import GatewayProcess, free_port
from tests.support.postgres import Cluster

CONNECTIONS = (1, 4, 16, 64)
PEERS = ("python-hl7", "hl7apy", "fdatasync")
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
    store: str, cluster: Cluster | None, folder: Path, args: argparse.Namespace, *, gateways: int, cases: int
) -> list[Row]:
    """So many gateways on one store, whatever is in it."""
    started: list[GatewayProcess] = []
    try:
        for _ in range(gateways):
            gateway = GatewayProcess(
                Path(tempfile.mkdtemp(dir=folder)), model='url = "http://127.0.0.1:9"', store=store
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
    what = {"store": "postgresql" if cluster else "sqlite", "cases": cases, "gateways": gateways}
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
                for gateways in args.gateways if cluster else [1]:
                    url = _copy(cluster, folder, made)
                    os.sync()  # what was written for the copy is no part of what is measured
                    rows += await measure_gateways(url, cluster, folder, args, gateways=gateways, cases=cases)
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


def show(rows: list[Row]) -> None:
    """The table; where the peers ran too, with RadBridge's ratio to fdatasync."""
    peers = {row["connections"]: row["acks_per_s"] for row in rows if row["server"] == "fdatasync"}
    table = Table("server", "connections", "ACKs/s", "p50 ms", "p99 ms", "gateway µs", "database µs", "sender µs", "x")
    for row in rows:
        name = row["server"]
        if "store" in row:
            name = f"{row['store']}, {row['cases']:,} cases, {row['gateways']} gateway(s)"
        ratio = row["acks_per_s"] / peers[row["connections"]] if peers else 0.0
        columns = ("connections", "acks_per_s", "p50_ms", "p99_ms", "server_us", "database_us", "client_us")
        table.add_row(name, *(str(row[column]) for column in columns), f"{ratio:.2f}" if ratio else "")
    Console(width=140).print(table)


def main() -> None:
    """`python -m tests.bench.acks --seconds 4 [--json FILE] [--folder DIR] [--stores sqlite --cases 0]`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each server and number of connections")
    parser.add_argument("--connections", type=int, nargs="*", default=CONNECTIONS)
    parser.add_argument("--stores", nargs="*", default=("sqlite", "postgresql"))
    parser.add_argument("--cases", type=int, nargs="*", default=(0, 1_000_000), help="stored before")
    parser.add_argument("--gateways", type=int, nargs="*", default=(1, 2), help="on one PostgreSQL")
    parser.add_argument("--peers", nargs="*", default=PEERS)
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: the temporary folder's")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        Path(folder).chmod(0o755)  # PostgreSQL may run as somebody else
        rows = asyncio.run(run(args, Path(folder)))
    show(rows)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
