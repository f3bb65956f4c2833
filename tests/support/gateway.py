"""The gateway as the operator runs it: `radbridge up --config site.toml`, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, create_engine

from tests.support.store import store_url

FIRST_PORT, PORTS = 21_000, 3_000
"""Above the ports of Ray's workers, those of deploy/two-nodes.md included."""
START_S = 600
"""Ray alone takes 10 to 35 s here, and more than 200 s were seen beside other work."""
PATIENCE_S = 60.0
"""For whatever is sure to come: machines stand still for seconds."""
STOP_S = 120.0
"""For the model server to end Ray, which it gives 10 s, and for what stands still meanwhile."""


def free_port() -> int:
    """A port that is free, and that nobody is given by chance: below those that the kernel gives, above Ray's.

    Each of the processes that run the tests side by side has a range of its own, and gives no port a second time
    before all others had their turn: what asked for the first may not listen yet.
    """
    first = FIRST_PORT + PORTS * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = first + next(_turns) % PORTS
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


_turns = count(secrets.randbelow(PORTS))


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


@dataclass
class GatewayProcess:
    """A gateway in `folder`; `destinations` are ports of peers on loopback."""

    folder: Path
    destinations: Sequence[int] = ()
    model: str = 'url = "embedded"\nstrategy = "coarse"'
    hl7v2: str = ""
    dicom: str = ""
    """More of the table `[dicom]`, and its own tables."""
    store: str = ""
    """The journal's URL; empty: that of `tests.support.store`."""
    more: str = ""
    """Further tables of the file."""
    ack_timeout_s: float = PATIENCE_S
    """A draft that is acknowledged too late goes out again: none of a test's that counts them."""
    environment: dict[str, str] = field(default_factory=dict)
    module: str = "radbridge"
    """What is run; another one may change something first."""
    hl7_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    dicom_port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def config(self) -> Path:
        """The site's file."""
        return self.folder / "site.toml"

    @property
    def store_url(self) -> str:
        """Where the journal is."""
        return self.store or store_url(self.folder)

    @property
    def log(self) -> str:
        """Everything the process printed so far."""
        return (self.folder / "gateway.log").read_text(errors="replace")

    def write_config(self) -> None:
        """Write `site.toml`."""
        peers = "".join(
            f'[[hl7v2.destinations]]\nname = "dictation{n or ""}"\naddress = "127.0.0.1:{port}"\n'
            f"ack_timeout_s = {self.ack_timeout_s}\n"
            for n, port in enumerate(self.destinations)
        )
        patience = {"deadline_s": PATIENCE_S, "start_timeout_s": START_S}  # a draft that comes later is none
        patient = "".join(f"{key} = {s}\n" for key, s in patience.items() if key not in self.model)
        self.config.write_text(
            f'[store]\nurl = "{self.store_url}"\n'
            f'[hl7v2]\nlisten = "127.0.0.1:{self.hl7_port}"\n{self.hl7v2}\n{peers}'
            f'[http]\nlisten = "127.0.0.1:{self.http_port}"\n'
            f'[dicom]\nlisten = "127.0.0.1:{self.dicom_port}"\n{self.dicom}\n'
            f"[model]\nsettle_s = 0.05\n{patient}{self.model}\n"
            f"{self.more}\n"
        )

    async def start(self, *, ready: bool = True) -> None:
        """Start, and return when `/readyz` says 200, or with `ready=False` when messages are taken in."""
        self.write_config()
        with (self.folder / "gateway.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", self.module, "up", "--config", str(self.config)),
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )
        try:
            async with asyncio.timeout(START_S):
                while not await asyncio.to_thread(self._is_up, needs_model=ready):
                    assert self.process.returncode is None, self.log
                    await asyncio.sleep(0.1)
        except BaseException:
            await self.stop()
            raise

    async def __aenter__(self) -> Self:
        """`start`."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """`stop`, also when the test failed in between."""
        await self.stop()

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET; status 0 when nobody listens yet."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=PATIENCE_S) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def _is_up(self, *, needs_model: bool) -> bool:
        """Whether every listener listens and, where it is needed, the model answers."""
        status, body = self.get("/readyz")
        if status != HTTPStatus.SERVICE_UNAVAILABLE or needs_model:
            return status == HTTPStatus.OK
        return all(is_there for part, is_there in json.loads(body)["parts"].items() if part != "model")

    def kill(self) -> None:
        """SIGKILL, as the worst night does it: to the gateway alone."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)

    def children(self) -> list[int]:
        """The processes that the gateway started."""
        assert self.process is not None
        return [int(p) for p in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), STOP_S)

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the journal, by SQL that both databases know, with `?` for each of the values."""
        engine = create_engine(self.store_url)
        try:
            with engine.connect() as conn:
                return _rows(conn, sql, values)
        finally:
            engine.dispose()

    async def until(self, sql: str, expected: object, *, within_s: float = PATIENCE_S) -> None:
        """Wait until the first column of the first row is `expected`."""
        began = time.monotonic()
        rows: list[tuple[Any, ...]] = []
        while time.monotonic() - began < within_s:
            rows = self.query(sql)
            if rows and rows[0][0] == expected:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{sql}: {rows[:1]} after {within_s} s, expected {expected!r}\n{self.log[-2000:]}")

    def logged(self) -> list[dict[str, Any]]:
        """The log's JSON lines."""
        found = []
        for line in self.log.splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [f for f in found if isinstance(f, dict)]


def _rows(conn: Connection, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    if conn.dialect.name == "postgresql":
        sql = sql.replace("%", "%%").replace("?", "%s")
    return [tuple(r) for r in conn.exec_driver_sql(sql, values)]
