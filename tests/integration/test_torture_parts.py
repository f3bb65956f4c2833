"""What a torture run stands on: clocks that step, and servers that go with whoever started them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.postgres import the_cluster
from tests.support.sharing import until
from tests.torture import clocks

ASKED = """
import datetime, sys, time
from pathlib import Path
from tests.torture import clocks
clocks.follow(Path(sys.argv[1]))
for _ in sys.stdin:
    print(datetime.datetime.now(datetime.UTC).isoformat(), time.time(), time.monotonic(), flush=True)
"""
CLUSTER = """
import sys
from tests.support.postgres import Cluster
with Cluster() as cluster:
    print(cluster.folder, cluster.pids[0], flush=True)
    sys.stdin.read()
"""


@asynccontextmanager
async def running(code: str, *args: str) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, *args, stdin=pipe, stdout=pipe)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def runs(pid: str) -> bool:
    """Not one that has ended and that nobody has asked about yet."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    return False


async def ask(process: asyncio.subprocess.Process) -> list[str]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    return (await process.stdout.readline()).decode().split()


async def test_a_clock_steps_while_its_process_runs(tmp_path: Path) -> None:
    """Whatever tells the time of day is off by as much as was asked for; the monotonic clock isn't."""
    clocks.step(tmp_path / "clock", 0)
    async with running(ASKED, str(tmp_path / "clock")) as process:
        right = await ask(process)
        clocks.step(tmp_path / "clock", -86_400)
        wrong = await ask(process)
    assert abs(datetime.fromisoformat(right[0]) - datetime.now(UTC)) < timedelta(hours=1)
    assert (
        timedelta(hours=23) < datetime.fromisoformat(right[0]) - datetime.fromisoformat(wrong[0]) < timedelta(hours=25)
    )
    assert 23 * 3600 < float(right[1]) - float(wrong[1]) < 25 * 3600
    assert float(right[2]) <= float(wrong[2])


async def test_a_cluster_goes_with_its_process() -> None:
    """A test run that is killed leaves no PostgreSQL and no folder of one."""
    the_cluster()  # or the test is skipped
    async with running(CLUSTER) as process:
        assert process.stdout is not None
        folder, server = (await process.stdout.readline()).decode().split()
        assert runs(server)
        process.kill()
        await until(lambda: not Path(folder).exists() and not runs(server))
