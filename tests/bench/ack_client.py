"""A sender that costs little: `python -m tests.bench.ack_client PORT… --connections 16 --seconds 4 --first 0`.

Each connection sends its next message when the answer to the last one is there. Frames come from one template, over
asyncio's protocols on uvloop; the same for every server. It prints JSON: rate, latencies, its own processor time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import cast

import uvloop

from tests.support.ris import Ris

BYTES = 1400
_FILLER = "The lungs are clear apart from the nodule described above, and the pleural spaces are free of fluid. "
_NUMBER = "999999999"


def make_template() -> bytes:
    """A framed report of 1.4 KB, with a place for its number wherever that stands."""
    raw = Ris(accession=f"B{_NUMBER}", prefix="").dictated(_FILLER * 12).replace(b"%", b"%%")
    raw = raw[: BYTES - 1].rstrip(b"\r") + b"\r"
    return b"\x0b" + raw.replace(_NUMBER.encode(), b"%(n)09d") + b"\x1c\r"


@dataclass
class Run:
    """What all connections share."""

    template: bytes
    until: float
    reconnect: bool
    latencies: list[float] = field(default_factory=list)
    open: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Lane(asyncio.Protocol):
    """One connection, or with `reconnect` one after the other."""

    def __init__(self, run: Run, port: int, first: int) -> None:
        self._run = run
        self._port = port
        self._number = first
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        frame = self._run.template % {b"n": self._number}
        self._began = perf_counter()
        self._transport.write(frame)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._answer.endswith(b"\x1c\r"):
            return
        now = perf_counter()
        self._run.latencies.append(now - self._began)
        if b"MSA|AA|" not in self._answer:
            raise RuntimeError(f"not acknowledged: {self._answer!r}")
        self._answer = b""
        self._number += 1
        if now > self._run.until:
            self._transport.close()
            self._run.open -= 1
            if not self._run.open:
                self._run.over.set()
        elif self._run.reconnect:
            self._transport.close()
            self._connecting = asyncio.ensure_future(self.connect())
        else:
            self._send()

    async def connect(self) -> None:
        """Open the connection, which begins to send."""
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)


async def measure(
    ports: list[int], connections: int, seconds: float, first: int, *, reconnect: bool
) -> dict[str, float]:
    """Acknowledgements a second, latencies in ms, and what it cost this process."""
    run = Run(make_template(), perf_counter() + seconds, reconnect, open=connections)
    began, cpu = perf_counter(), process_time()
    lanes = [Lane(run, ports[n % len(ports)], first + n * 1_000_000) for n in range(connections)]
    await asyncio.gather(*(lane.connect() for lane in lanes))
    await run.over.wait()
    elapsed, cpu = perf_counter() - began, process_time() - cpu
    cuts = statistics.quantiles(run.latencies, n=100)
    count = len(run.latencies)
    return {
        "count": count,
        "acks_per_s": round(count / elapsed),
        "p50_ms": round(cuts[49] * 1000, 2),
        "p99_ms": round(cuts[98] * 1000, 2),
        "client_us": round(cpu / count * 1e6, 1),
    }


def main() -> None:
    """Warm up, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ports", type=int, nargs="+")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--first", type=int, default=0, help="the first message's number")
    parser.add_argument("--reconnect", action="store_true", help="a connection for each message")
    args = parser.parse_args()
    measured = measure(args.ports, args.connections, args.seconds, args.first, reconnect=args.reconnect)
    print(json.dumps(uvloop.run(measured)))


if __name__ == "__main__":
    main()
