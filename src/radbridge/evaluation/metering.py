"""Reads what a tree of processes uses while something runs: once a second, from Linux's /proc and the power meters."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections import defaultdict
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from radbridge.evaluation.cost import Cost

_EVERY_S = 1.0
_QUERY_S = 5.0
_QUERY = ("--query-gpu=power.draw", "--format=csv,noheader,nounits")
_PROC = Path("/proc")
_POWERCAP = Path("/sys/class/powercap")


class Meter:
    """`with Meter(os.getpid()) as meter: ...; meter.tell(drafts)`. `root` None: only the time is taken."""

    def __init__(self, root: int | None, *, proc: Path = _PROC, powercap: Path = _POWERCAP) -> None:
        """`root`: its descendants are metered, itself not."""
        self._tree = None if root is None else ProcessTree(root, proc)
        self._rapl = None if root is None else Rapl(powercap)
        self._gpu = None if root is None else GpuPower()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="meter", daemon=True)
        self._began = self._ended = 0.0

    def __enter__(self) -> Self:
        self._began = monotonic()
        self._read()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._read()
        self._ended = monotonic()

    def tell(self, drafts: int) -> Cost:
        """What `drafts` cost between the meter's begin and end."""
        energy = {
            name: joules
            for name, meter in (("rapl", self._rapl), ("nvidia-smi", self._gpu))
            if meter is not None and (joules := meter.joules) is not None
        }
        return Cost(
            drafts=drafts,
            wall_s=self._ended - self._began,
            cpu_s=None if self._tree is None else self._tree.cpu_s,
            peak_rss_bytes=None if self._tree is None else self._tree.peak_rss_bytes,
            joules=sum(energy.values()) if energy else None,
            meters=tuple(energy),
        )

    def _sample(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self._read()

    def _read(self) -> None:
        for meter in (self._tree, self._rapl, self._gpu):
            if meter is not None:
                meter.read()


class ProcessTree:
    """The processes below one. None where there is no /proc to read."""

    def __init__(self, root: int, proc: Path) -> None:
        self._root = root
        self._proc = proc
        self._ticks: dict[tuple[int, int], tuple[int, int]] = {}
        """By process and when it began: its ticks when first seen, and when last."""
        self._began = False
        self._peak = 0

    @property
    def cpu_s(self) -> float | None:
        """Processor time since the first sample, of what ended in between too, up to its last sample."""
        if not self._ticks:
            return None
        return sum(last - first for first, last in self._ticks.values()) / os.sysconf("SC_CLK_TCK")

    @property
    def peak_rss_bytes(self) -> int | None:
        """The most that they held at once."""
        return self._peak * os.sysconf("SC_PAGE_SIZE") or None

    def read(self) -> None:
        """One sample."""
        pages = 0
        for pid, fields in self._descendants():
            ticks, began = int(fields[11]) + int(fields[12]), int(fields[19])
            pages += int(fields[21])
            first = self._ticks.get((pid, began), (ticks if not self._began else 0, 0))[0]
            self._ticks[pid, began] = (first, ticks)
        self._began = True
        self._peak = max(self._peak, pages)

    def _descendants(self) -> list[tuple[int, list[str]]]:
        """Each with the fields of its `stat` from the third on, proc(5): state, parent, ..."""
        below: dict[int, list[tuple[int, list[str]]]] = defaultdict(list)
        for folder in self._proc.glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended
                continue
            below[int(fields[1])].append((int(folder.name), fields))
        found, parents = [], [self._root]
        while parents:
            children = below[parents.pop()]
            found += children
            parents += [pid for pid, _ in children]
        return found


class Rapl:
    """The energy counters of the processor packages, which root may read on most machines."""

    def __init__(self, powercap: Path) -> None:
        self._zones = [zone for zone in sorted(powercap.glob("intel-rapl:*")) if _is_package(zone)]
        self._last: dict[Path, int] = {}
        self._used = 0

    @property
    def joules(self) -> float | None:
        return self._used / 1e6 if self._last else None

    def read(self) -> None:
        """One sample; a counter that began anew is told by its range."""
        for zone in self._zones:
            try:
                now = int((zone / "energy_uj").read_text())
                wraps_at = int((zone / "max_energy_range_uj").read_text())
            except (OSError, ValueError):
                continue
            before = self._last.get(zone, now)
            self._used += now - before if now >= before else now + wraps_at - before
            self._last[zone] = now


def _is_package(zone: Path) -> bool:
    """Whether a zone counts what no other one does: a core is within its package, and a package within `psys`."""
    try:
        return (zone / "name").read_text().startswith("package")
    except OSError:
        return False


class GpuPower:
    """The power draw of all NVIDIA GPUs over time, where `nvidia-smi` answers."""

    def __init__(self) -> None:
        self._command = shutil.which("nvidia-smi")
        self._last: tuple[float, float] | None = None
        self._used = 0.0

    @property
    def joules(self) -> float | None:
        return self._used if self._last else None

    def read(self) -> None:
        """One sample."""
        if self._command is None:
            return
        try:
            said = subprocess.run(  # noqa: S603 - a fixed command
                [self._command, *_QUERY], capture_output=True, timeout=_QUERY_S, check=True, text=True
            ).stdout
            watts = sum(float(line) for line in said.split("\n") if line.strip())
        except (OSError, subprocess.SubprocessError, ValueError):
            self._command = self._last = None  # half of a run's energy would look like all of it
            return
        now = monotonic()
        if self._last is not None:
            then, before = self._last
            self._used += (before + watts) / 2 * (now - then)
        self._last = (now, watts)
