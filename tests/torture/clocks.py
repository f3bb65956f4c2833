"""A wall clock that steps: `follow(file)` in the gateway's process, `step(file, seconds)` from outside.

Only what the process is told of the time of day is moved. The monotonic clock goes on, as it does when somebody sets a
machine's clock. libfaketime does the same for every program, but slows the passing on of Python's lock between threads
three hundredfold, so that a run with it was a run of something else.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import struct
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

_SECONDS = struct.Struct("d")
STEP_S = 3600
"""What a run steps a clock by, forward or back."""


def step(file: Path, seconds: float) -> None:
    """The clock that follows `file` is off by so much from now on."""
    with file.open("r+b" if file.exists() else "w+b") as there:
        there.write(_SECONDS.pack(seconds))


def follow(file: Path) -> None:
    """Have `datetime.now` and `time.time` of this process be off by what `file` says; before anything copies them."""
    with file.open("rb") as there:
        held = mmap.mmap(there.fileno(), _SECONDS.size, access=mmap.ACCESS_READ)
    right_now, right_time = datetime.now, time.time

    def read() -> float:
        return float(_SECONDS.unpack_from(held)[0])

    def now(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
        return right_now(tz) + timedelta(seconds=read())

    # A class of C, whose attributes can't be set: its own dictionary is asked for and changed.
    [attributes] = [d for d in gc.get_referents(datetime.__dict__) if isinstance(d, dict)]
    methods: dict[str, Any] = attributes
    methods["now"] = classmethod(now)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))
    time.time = lambda: right_time() + read()
