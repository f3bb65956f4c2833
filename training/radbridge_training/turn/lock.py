"""One turn at a time: the kernel lets go of the lock when the process that holds it ends, by -9 too."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from radbridge.errors import RadBridgeError
from radbridge.registry.files import make_folder

LOCK = "lock"


class TurnRuns(RadBridgeError):
    """Another turn runs."""

    def __init__(self, pid: int, since: str) -> None:
        self.pid = pid
        who = f" (pid {pid}, since {since})" if pid else ""
        super().__init__(f"another turn runs{who}; wait for it, or stop it: what it has done stays done")


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """Hold the lock of the turns below `work`. Raises TurnRuns where somebody does already."""
    make_folder(work)
    with (work / LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TurnRuns(*_read_holder(work / LOCK)) from None
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "since": f"{datetime.now(UTC):%H:%M}"}, file)
        file.flush()
        yield


def _read_holder(path: Path) -> tuple[int, str]:
    with suppress(OSError, ValueError, KeyError, TypeError):  # it has just begun, and not said yet who it is
        said = json.loads(path.read_bytes())
        return int(said["pid"]), str(said["since"])
    return 0, ""
