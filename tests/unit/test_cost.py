"""What drafts cost: metered from /proc and power meters, and None where these don't answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from radbridge.errors import ConfigError
from radbridge.evaluation.cost import Cost, read_cost, write_cost
from radbridge.evaluation.metering import GpuPower, Meter, ProcessTree, Rapl

BUSY = "import time\nheld = bytearray(64 << 20)\nwhile time.process_time() < 0.3: pass\nprint(1, flush=True)\ninput()"


def test_child_process() -> None:
    """Processor time and memory of what was started while the meter ran are counted; its own aren't."""
    with Meter(os.getpid()) as meter:
        child = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        meter._read()  # noqa: SLF001 - in place of the second's sample
        child.communicate(b"\n")
    cost = meter.tell(10)

    assert cost.drafts == 10
    assert cost.cpu_s is not None
    assert cost.cpu_s >= 0.25
    assert cost.peak_rss_bytes is not None
    assert cost.peak_rss_bytes >= 64 << 20


def test_remote_server() -> None:
    """Beside a server elsewhere only the time is known."""
    with Meter(None) as meter:
        pass
    cost = meter.tell(3)

    assert cost.wall_s > 0
    assert (cost.cpu_s, cost.peak_rss_bytes, cost.joules, cost.meters) == (None, None, None, ())


def add_process(proc: Path, pid: int, parent: int, *, ticks: int, pages: int, name: str = "ray::worker (x) y") -> None:
    """A process as /proc shows it."""
    folder = proc / str(pid)
    folder.mkdir(parents=True, exist_ok=True)
    fields = ["S", str(parent), *["0"] * 9, str(ticks), "0", *["0"] * 6, str(pid), "0", str(pages)]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")


def test_process_tree(tmp_path: Path) -> None:
    """All descendants count from the first sample on, the ended ones too, and nobody else's."""
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    add_process(tmp_path, 10, 1, ticks=50, pages=7)
    add_process(tmp_path, 11, 10, ticks=5 * tick, pages=100)
    add_process(tmp_path, 99, 1, ticks=900, pages=900)
    tree = ProcessTree(10, tmp_path)
    tree.read()
    add_process(tmp_path, 11, 10, ticks=6 * tick, pages=150)
    add_process(tmp_path, 12, 11, ticks=2 * tick, pages=50)
    tree.read()
    (tmp_path / "12" / "stat").unlink()
    add_process(tmp_path, 11, 10, ticks=7 * tick, pages=10)
    tree.read()

    assert tree.cpu_s == 4.0
    assert tree.peak_rss_bytes == 200 * page
    assert ProcessTree(10, tmp_path / "none").cpu_s is None


def test_energy_of_the_processor(tmp_path: Path) -> None:
    """The packages' counters add up, over the end of their range, and nothing twice; no counter means not known."""
    names = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:1": "psys"}
    for folder in (tmp_path / name for name in names):
        folder.mkdir()
        (folder / "name").write_text(f"{names[folder.name]}\n")
        (folder / "max_energy_range_uj").write_text("10000000\n")
        (folder / "energy_uj").write_text("9000000\n")
    meter = Rapl(tmp_path)
    meter.read()
    for name in names:
        (tmp_path / name / "energy_uj").write_text("1000000\n")
    meter.read()

    assert meter.joules == 2.0
    assert Rapl(tmp_path / "none").joules is None


@pytest.mark.parametrize(
    ("said", "answers"), [("echo 250.5; echo 49.5", True), ("echo '[N/A]'", False), ("exit 9", False)]
)
def test_energy_of_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, *, answers: bool) -> None:
    """`nvidia-smi` is asked for power; where it has no number the energy isn't known."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{said}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("radbridge.evaluation.metering._QUERY_S", 600.0)
    meter = GpuPower()
    meter.read()
    meter.read()

    assert (meter.joules is not None and meter.joules > 0) == answers


def test_file(tmp_path: Path) -> None:
    """A cost is read as it was written, and shown for 1,000 drafts."""
    cost = Cost(drafts=50, wall_s=10.0, cpu_s=None, peak_rss_bytes=1 << 30, joules=3.0, meters=("rapl",))
    write_cost(tmp_path / "cost.json", cost)

    assert read_cost(tmp_path / "cost.json") == cost
    assert cost.per_thousand(cost.wall_s) == 200.0
    assert cost.per_thousand(cost.cpu_s) is None
    assert Cost(drafts=0, wall_s=1.0).per_thousand(1.0) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "isn't JSON"),
        ("[]", "version 1"),
        ('{"version": 2}', "version 1"),
        ('{"version": 1, "drafts": 1}', "wall_s"),
    ],
)
def test_other_file(tmp_path: Path, text: str, said: str) -> None:
    """A file that holds something else is refused with its name and what is wrong."""
    file = tmp_path / "cost.json"
    file.write_text(text)

    with pytest.raises(ConfigError, match=said) as raised:
        read_cost(file)
    assert "cost.json" in str(raised.value)
    with pytest.raises(ConfigError, match="No such file"):
        read_cost(tmp_path / "none.json")
