"""The model server as it is run: `python -m radbridge_model_server`, its own process, its own Ray, a real port."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

START_S = 600
"""vLLM takes half a minute to start, and beside other work more than the three minutes that a site gives it."""

END_S = 300
"""Ray gets ten seconds to end, in which a machine may stand still."""


class ModelServerProcess:
    """`python -m radbridge_model_server` as a child."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        folder.mkdir(exist_ok=True)
        config = folder / "model.json"
        config.write_text(json.dumps(settings))
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "radbridge_model_server", "--listen", "127.0.0.1:0"),
                    *("--config", str(config), "--start-timeout", str(START_S)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text(errors="replace")

    def wait_ready(self) -> str:
        """The URL it tells when it answers."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, self.log
        told = json.loads(line)
        self.worker = int(told["pid"])
        return str(told["url"])

    def wait_end(self) -> int:
        """Its exit status; the pipes are closed. Nothing but its one line may have come on standard output."""
        status = self.process.wait(END_S)
        assert self.process.stdout
        assert not self.process.stdout.read()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            pipe.close()
        return status


def processes_of(pid: int) -> set[int]:
    """The process and all its descendants."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def await_gone(pids: set[int]) -> set[int]:
    """The processes that are still there after up to 60 s."""
    until = time.monotonic() + 60
    while (left := {p for p in pids if is_running(p)}) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def is_running(pid: int) -> bool:
    """Whether the process runs; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
