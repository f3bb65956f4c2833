"""How fast signed reports are applied behind their ACKs, and what the style memory adds. Part of `make bench`.

    .venv/bin/python -m tests.bench.applying [--reports 1000]

A whole gateway without a model server gets a burst of generated reports as they are signed, on four connections. CPU is
the gateway's own, so that what else the machine does hardly counts; seconds are from the last ACK until nothing waits.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.table import Table

from radbridge_training.synth import generate_reports
from tests.support.gateway import GatewayProcess
from tests.support.ris import Ris

CONNECTIONS = 4
PATIENCE_S = 600
SEED = 11
WAITING = "SELECT count(*) FROM message WHERE state = 'accepted'"
UNREMEMBERED = "SELECT count(*) FROM memory WHERE state = 'waiting'"
_TICKS = os.sysconf("SC_CLK_TCK")


def make_messages(count: int) -> list[bytes]:
    """Signed reports, each of an accession and a patient of its own."""
    return [
        Ris(accession=f"A{n:07d}", mrn=f"9{n:06d}").signed(
            report.impressions["succinct"].replace("\n", " "), report.findings.replace("\n", " ")
        )
        for n, report in enumerate(generate_reports(SEED, count))
    ]


async def send(port: int, messages: list[bytes]) -> None:
    """All of them, one after the other on each connection. Raises RuntimeError when one isn't acknowledged."""

    async def talk(lane: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for message in messages[lane::CONNECTIONS]:
            writer.write(b"\x0b" + message + b"\x1c\r")
            if b"MSA|AA" not in await reader.readuntil(b"\x1c\r"):
                raise RuntimeError("a message was not acknowledged")
        writer.close()

    await asyncio.gather(*map(talk, range(CONNECTIONS)))


def read_cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    told = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(told[11]) + int(told[12])) / _TICKS


async def run(messages: list[bytes], *, remembers: bool) -> list[str]:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        memory = {"RADBRIDGE_MEMORY__ENABLED": str(remembers).lower()}
        gateway = GatewayProcess(Path(folder), model='url = "http://127.0.0.1:9"', environment=memory)
        await gateway.start(ready=False)
        try:
            assert gateway.process is not None
            before = read_cpu(gateway.process.pid)
            await send(gateway.hl7_port, messages)
            began = perf_counter()
            await gateway.until(WAITING, 0, within_s=PATIENCE_S)
            applied = perf_counter() - began
            if remembers:
                await gateway.until(UNREMEMBERED, 0, within_s=PATIENCE_S)
            settled = perf_counter() - began
            used = read_cpu(gateway.process.pid) - before
        finally:
            await gateway.stop()
    count = len(messages)
    told = (count / applied, settled if remembers else 0.0, 1000 * used / count)
    return ["on" if remembers else "off", f"{told[0]:.0f}", f"{told[1]:.1f}" if remembers else "–", f"{told[2]:.1f}"]


def main() -> None:
    """Measure without and with the memory, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=1_000)
    messages = make_messages(parser.parse_args().reports)
    table = Table("style memory", "applied a second behind the ACKs", "s until all are remembered", "CPU ms a report")
    with Console(stderr=True).status("sending, applying, remembering"):
        for remembers in (False, True):
            table.add_row(*asyncio.run(run(messages, remembers=remembers)))
    Console().print(table)


if __name__ == "__main__":
    main()
