"""DiagnosticReports created a second, durably, beside a web server that stores nothing. Run it by `make bench`.

Server and clients are processes of their own; the clients write to bare sockets, so that they aren't what is measured.
Each client posts the same 1.5 KB report under a new accession number, one at a time on its connection. RadBridge's
201 means: checked against R4, committed with fsync, indexed for searches, journaled for the case behind it. Beside it:

    bare    FastAPI on uvicorn with uvloop: parses into the pydantic model of fhir.resources, answers it, stores nothing

At one client the disk's fsync sets the pace; at sixteen one fsync serves many. Where the machine has other work, the
processor time of a create tells more than its rate.
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
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.support.gateway import GatewayProcess, free_port

CLIENTS = (1, 16)
FILLER = "The lungs are clear apart from the nodule described above. "


def body(number: int) -> bytes:
    """A dictated report of 1.5 KB."""
    document: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "status": "partial",
        "identifier": [
            {
                "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]},
                "value": f"B{number:09d}",
            }
        ],
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "18748-4"}], "text": "CT CHEST"},
        "subject": {"reference": "Patient/1", "identifier": {"value": "900001"}},
        "effectiveDateTime": "2026-03-01T10:00:00Z",
        "resultsInterpreter": [{"reference": "Practitioner/1", "display": "Reader"}],
        "conclusion": "FINDINGS: " + FILLER * 14,
    }
    return json.dumps(document).encode()


async def measure(port: int, clients: int, seconds: float, first: int) -> list[float]:
    """The latencies in ms of every create within so many seconds."""
    latencies: list[float] = []
    end = perf_counter() + seconds

    async def talk(lane: int) -> None:
        number = first + lane * 1_000_000
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while perf_counter() < end:
            raw = body(number)
            began = perf_counter()
            writer.write(
                b"POST /fhir/DiagnosticReport HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/fhir+json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(raw), raw)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 201"):
                raise RuntimeError(f"not created: {head!r}")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            latencies.append((perf_counter() - began) * 1000)
            number += 1
        writer.close()

    await asyncio.gather(*(talk(lane) for lane in range(clients)))
    return latencies


def serve_bare(port: int) -> None:
    """The server that stores nothing."""
    import uvicorn
    from fastapi import FastAPI, Response
    from fhir.resources.R4B.diagnosticreport import DiagnosticReport

    app = FastAPI()

    async def create(report: DiagnosticReport) -> Response:
        return Response(report.model_dump_json(), media_type="application/fhir+json", status_code=201)

    create.__annotations__ = {"report": DiagnosticReport, "return": Response}
    app.post("/fhir/DiagnosticReport")(create)

    async def up() -> None:
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", access_log=False, loop="uvloop"))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        print("up", flush=True)
        await serving

    import uvloop

    uvloop.run(up())


@contextmanager
def bare() -> Iterator[tuple[int, int]]:
    """The bare server in a process of its own; its port and process id."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.fhir_creates", "--serve-bare", str(port)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([".", os.environ.get("PYTHONPATH", "")])},
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield port, process.pid
    finally:
        process.kill()
        process.wait()


async def run(seconds: float, folder: Path) -> list[dict[str, object]]:
    """Measure both servers at every number of clients."""
    rows: list[dict[str, object]] = []
    with bare() as (port, pid):
        rows += [await _row("bare", port, pid, clients, seconds) for clients in CLIENTS]
    gateway = GatewayProcess(folder, model='url = "http://127.0.0.1:9"')
    await gateway.start(ready=False)
    try:
        assert gateway.process is not None
        port, pid = gateway.http_port, gateway.process.pid
        rows += [await _row("RadBridge", port, pid, clients, seconds) for clients in CLIENTS]
        rows[-1]["waiting"] = gateway.query("SELECT count(*) FROM message WHERE state = 'accepted'")[0][0]
        began = perf_counter()
        await gateway.until("SELECT count(*) FROM message WHERE state = 'accepted'", 0, within_s=300)
        rows[-1]["caught_up_s"] = round(perf_counter() - began, 2)
    finally:
        await gateway.stop()
    return rows


async def _row(name: str, port: int, pid: int, clients: int, seconds: float) -> dict[str, object]:
    await measure(port, clients, 0.5, clients * 50_000_000 + 500_000_000)
    began, worked_s = perf_counter(), _processor_s(pid)
    latencies = await measure(port, clients, seconds, clients * 50_000_000)
    elapsed_s, worked_s = perf_counter() - began, _processor_s(pid) - worked_s
    cuts = statistics.quantiles(latencies, n=100)
    return {
        "server": name,
        "clients": clients,
        "creates_per_s": round(len(latencies) / elapsed_s),
        "p50_ms": round(cuts[49], 2),
        "p99_ms": round(cuts[98], 2),
        "cpu_ms": round(worked_s * 1000 / len(latencies), 2),
        "count": len(latencies),
    }


def _processor_s(pid: int) -> float:
    """Processor time that a process has had, in user and kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(rows: list[dict[str, object]]) -> None:
    """The table, with RadBridge's ratio to the bare server."""
    ours = {r["clients"]: r["creates_per_s"] for r in rows if r["server"] == "RadBridge"}
    table = Table("server", "clients", "creates/s", "p50 ms", "p99 ms", "CPU ms", "RadBridge is")
    for row in rows:
        ratio = float(str(ours[row["clients"]])) / max(1.0, float(str(row["creates_per_s"])))
        text = "" if row["server"] == "RadBridge" else f"{ratio:.2f}x"
        table.add_row(
            *(str(row[k]) for k in ("server", "clients", "creates_per_s", "p50_ms", "p99_ms", "cpu_ms")), text
        )
    Console().print(table)
    last = rows[-1]
    Console().print(f"behind the last 201 {last['waiting']} messages waited; applied in {last['caught_up_s']} s")


def main() -> None:
    """`python -m tests.bench.fhir_creates --seconds 4 [--json FILE] [--folder DIR]`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each server and number of clients")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: the temporary folder's")
    parser.add_argument("--serve-bare", type=int, metavar="PORT", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve_bare:
        serve_bare(args.serve_bare)
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        rows = asyncio.run(run(args.seconds, Path(folder)))
    show(rows)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
