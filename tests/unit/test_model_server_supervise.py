"""The process that leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, subprocess, sys, time
from radbridge_model_server import supervise as it
it._STOP_S = 600  # a machine that stands still is no work that is deaf

def work():
    def end(*_):
        subprocess.run(["kill", str(orphan)], check=True)
        os._exit(0)
    signal.signal(signal.SIGTERM, end)
    orphan = int(subprocess.check_output(["sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $!"]))
    print(os.getpid(), orphan, flush=True)
    while True:  # a signal just before one long sleep would be seen at its end
        time.sleep(0.05)

sys.exit(it.supervise(work))
"""


PATIENCE_S = 120


def is_running(pid: int) -> bool:
    """Whether the process runs; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("target", "number", "status"),
    [
        ("supervisor", signal.SIGTERM, 0),
        ("supervisor", signal.SIGINT, 0),
        ("supervisor", signal.SIGKILL, -signal.SIGKILL),
        ("worker", signal.SIGKILL, 128 + signal.SIGKILL),
    ],
)
def test_nothing_outlives_the_server(target: str, number: int, status: int) -> None:
    """Whichever of the two processes gets whatever signal, the work is told to stop and its orphans are ended."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        worker, orphan = map(int, supervisor.stdout.readline().split())
        os.kill({"supervisor": supervisor.pid, "worker": worker}[target], number)
        assert supervisor.wait(PATIENCE_S) == status
    until = time.monotonic() + PATIENCE_S
    while (is_running(worker) or is_running(orphan)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not is_running(worker)
    assert not is_running(orphan)


def test_the_works_exit_status_is_passed_on() -> None:
    """What the work returns is the exit status."""
    program = "import sys; from radbridge_model_server.supervise import supervise; sys.exit(supervise(lambda: 3))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 3


def test_work_that_does_not_stop_is_ended() -> None:
    """Work that is deaf to SIGTERM is killed after the time it gets to stop in."""
    program = (
        "import signal, sys, time; from radbridge_model_server import supervise; supervise._STOP_S = 1;"
        "work = lambda: (signal.signal(signal.SIGTERM, signal.SIG_IGN), print(flush=True), time.sleep(300));"
        "sys.exit(supervise.supervise(work))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout
        supervisor.stdout.readline()
        supervisor.terminate()
        assert supervisor.wait(PATIENCE_S) == 128 + signal.SIGKILL
