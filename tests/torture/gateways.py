"""The gateways under torture: `radbridge up`, each in a process of its own, and what is done to it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support.gateway import free_port
from tests.torture import clocks, holds
from tests.torture.holds import Hold

ACK_TIMEOUT_S = 1.5
"""How long a gateway waits for a destination."""


@dataclass(eq=False)
class GatewayUnderTorture:
    """One gateway. `folder` holds its site's file and its log."""

    name: str
    folder: Path
    store: str
    """The journal's URL."""
    model_port: int
    destinations: Mapping[str, int]
    mutant: str = ""
    """A safeguard to take out: `tests.torture.mutants`."""
    lease_s: float = 6.0
    hl7_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    dicom_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    is_wanted: bool = False
    """Whether it should be running."""
    is_at_work: bool = False
    """Whether it is up, and nobody made it stand still."""

    @property
    def has_died(self) -> bool:
        """Whether it ended though nobody ended it."""
        return self.is_wanted and self.process is not None and self.process.poll() is not None

    @property
    def clock(self) -> Path:
        """The file that says how wrong its clock is."""
        return self.folder / f"{self.name}.clock"

    @property
    def config(self) -> Path:
        """The site's file."""
        return self.folder / f"{self.name}.toml"

    def write_config(self) -> None:
        """Write the site's file: everything quick, so that a run sees many ends of it."""
        quick = f"ack_timeout_s = {ACK_TIMEOUT_S}\nmax_unanswered = 8\nsessions = 2\n"
        quick += "breaker_s = 1.0\nbreaker_after = 5\n"
        peers = "".join(
            f'[[hl7v2.destinations]]\nname = "{name}"\naddress = "127.0.0.1:{port}"\n{quick}'
            for name, port in self.destinations.items()
        )
        cluster = f'[cluster]\nname = "{self.name}"\nlease_s = {self.lease_s}\n'
        self.config.write_text(
            f'[store]\nurl = "{self.store}"\n{cluster}'
            f'[hl7v2]\nlisten = "127.0.0.1:{self.hl7_port}"\n{peers}'
            f'[http]\nlisten = "127.0.0.1:{self.http_port}"\n[dicom]\nlisten = "127.0.0.1:{self.dicom_port}"\n'
            f'[model]\nurl = "http://127.0.0.1:{self.model_port}"\nsettle_s = 0.05\ndeadline_s = 2.0\n'
            "[memory]\nenabled = false\n"
        )

    def start(self) -> None:
        """Start it, without waiting until it is up."""
        self.write_config()
        self.is_wanted = True
        if not self.clock.exists():
            clocks.step(self.clock, 0)
        with (self.folder / f"{self.name}.log").open("ab") as log:
            launch = [sys.executable, "-m", "tests.torture.launch", str(self.folder), self.name, self.mutant]
            self.process = subprocess.Popen([*launch, "up", "--config", str(self.config)], stdout=log, stderr=log)

    async def until_up(self, within_s: float = 120.0) -> None:
        """Return once `/readyz` says 200; raises RuntimeError when the process ends before."""
        async with asyncio.timeout(within_s):
            while not await asyncio.to_thread(self.is_ready):
                if self.process is None or self.process.poll() is not None:
                    raise RuntimeError(f"{self.name} ended: see {self.folder / self.name}.log")
                await asyncio.sleep(0.1)
        self.is_at_work = True

    def is_ready(self) -> bool:
        """Whether every part of it answers."""
        return self._get("/readyz") is not None

    def metrics(self) -> str:
        """Its `/metrics` page; empty when nobody answers."""
        return self._get("/metrics") or ""

    def _get(self, path: str) -> str | None:
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.get(f"http://127.0.0.1:{self.http_port}{path}", timeout=5)
            return answer.text if answer.is_success else None
        return None

    async def command(self, *args: str) -> int:
        """`radbridge …` on this gateway's site; its exit status."""
        with (self.folder / "commands.log").open("ab") as log:
            done = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "radbridge", *args, "--config", str(self.config)), stdout=log, stderr=log
            )
            return await done.wait()

    def send(self, what: signal.Signals) -> None:
        """A signal, to a gateway that runs."""
        if self.process is not None and self.process.poll() is None:
            self.is_at_work = what is signal.SIGCONT
            self.process.send_signal(what)

    def kill(self) -> None:
        """SIGKILL, and gone when it returns."""
        self.is_wanted = False
        self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.is_wanted = False
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        if self.process is None:
            return 0
        try:
            return self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()
            return -1

    def step_clock(self, seconds: int) -> None:
        """Its wall clock steps, at once and while it runs."""
        clocks.step(self.clock, seconds)

    async def hold(self, hold: Hold, within_s: float) -> bool:
        """Have it held up once in the midst of a write; whether it came to one in time."""
        holds.ask(self._hold, hold)
        end = asyncio.get_running_loop().time() + within_s
        while self._hold.exists() and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.01)
        with contextlib.suppress(FileNotFoundError):
            self._hold.unlink()
            return False
        return True

    async def until_it_stands(self) -> None:
        """Return once it stands still: it stops itself where it is held up."""
        async with asyncio.timeout(30):
            while self._state() != "T":
                await asyncio.sleep(0.01)
        self.is_at_work = False

    def _state(self) -> str:
        """`T` of a process that was stopped (proc(5))."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    @property
    def _hold(self) -> Path:
        return self.folder / f"{self.name}.hold"
