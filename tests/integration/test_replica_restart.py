"""On one machine the one replica listens itself: when it dies, the next one has to answer at the same address."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.model_server import END_S

BACK_S = 600
CASE = {"id": "c1", "findings": "There is a 12 mm nodule in the right upper lobe. No pleural effusion."}

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A model server of its own, with an engine that loads at once."""
    config = tmp_path / "model.json"
    config.write_text(json.dumps({"engine": "echo"}))
    command = ["-m", "radbridge_model_server", "--listen", "127.0.0.1:0", "--config", str(config)]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        ) as server,
    ):
        assert server.stdout
        line = server.stdout.readline()
        assert line, (tmp_path / "log").read_text()
        try:
            yield json.loads(line)["url"]
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(END_S) == 0


def test_a_killed_replica_comes_back_at_the_same_address(url: str) -> None:
    """SIGKILL to the replica under open connections, twice: another one answers at the same URL each time."""
    names = {draft(url)}
    with ExitStack() as held:
        for _ in range(2):
            with httpx.Client(base_url=url, trust_env=False, timeout=BACK_S) as keeping:
                assert keeping.get("/healthz").is_success
                held.enter_context(hold(url, kill_replica(url)))
            names.add(await_draft(url))
    assert len(names) == 3


@contextmanager
def hold(url: str, killed: str) -> Iterator[None]:
    """Keep the port as the connections of a killed process keep it for a minute: who would reuse it has to say so."""
    port = httpx.URL(url).port or 0
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        while (before := _find_listeners(port)) <= {killed}:  # else the next one was quicker
            try:
                holder.bind(("127.0.0.1", port))
                break
            except OSError:
                assert before or _find_listeners(port), "nobody listens, and the killed one's connections keep the port"
            time.sleep(0.01)
        yield


def test_one_replica_is_all_that_this_command_runs(tmp_path: Path) -> None:
    """A config that asks for more is refused before anything starts, with what to do instead."""
    config = tmp_path / "model.json"
    config.write_text(json.dumps({"engine": "echo", "scale": {"max_replicas": 2}}))
    command = [sys.executable, "-m", "radbridge_model_server", "--config", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "scale.max_replicas: this command runs one replica" in ended.stderr


def draft(url: str) -> str:
    """The name of the replica that drafted."""
    answer = httpx.post(f"{url}/v1/drafts", json=CASE, trust_env=False, timeout=BACK_S)
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-replica"])


def await_draft(url: str) -> str:
    """`draft`, once somebody answers."""
    until = time.monotonic() + BACK_S
    while time.monotonic() < until:
        with suppress(httpx.TransportError, AssertionError):
            return draft(url)
        time.sleep(0.1)
    raise AssertionError("no replica came back")


def kill_replica(url: str) -> str:
    """SIGKILL to whoever listens at the URL; the inode of its socket."""
    (inode,) = _find_listeners(httpx.URL(url).port or 0)
    (pid,) = [p for p in Path("/proc").glob("[0-9]*") if inode in _open_sockets(p)]
    os.kill(int(pid.name), signal.SIGKILL)
    return inode


def _find_listeners(port: int) -> set[str]:
    """The sockets' inodes, from the kernel's table: local address, `0A` for listening, and tenth the inode."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"}


def _open_sockets(process: Path) -> set[str]:
    with suppress(OSError):
        links = [os.readlink(link) for link in (process / "fd").iterdir()]  # noqa: PTH115 - `socket:[1]` is no path
        return {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:[")}
    return set()
