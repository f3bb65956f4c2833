"""What every test shares: a quiet offline environment, an order by folder, quick folders, and patient limits."""

from __future__ import annotations

import os

# Before any import of a library that reads them.
os.environ |= {
    "HF_HUB_OFFLINE": "1",  # no test may reach a model hub
    "HF_DATASETS_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",  # Ray reads it at its import, and a test's module may be the first to import it
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",  # two cores are shared with the servers under test
}

import gc
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

# Images of containers often say so: each of the hundreds of processes that are tested would compile our code anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Where nothing else is set rich draws each frame with its variables: up to a second of CPU for an exception.
for _processor in structlog.get_config()["processors"]:
    if isinstance(_processor, structlog.dev.ConsoleRenderer):  # else a plug-in of pytest's has set something
        _processor.exception_formatter = structlog.dev.plain_traceback

# The same seconds are long on a busy machine: a slow example is no failure.
settings.register_profile("radbridge", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("radbridge")

FOLDERS = ("unit", "contract", "integration", "acceptance")
MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes a folder of its own there, mode 0700
GARBAGE_FIRST = 20_000
"""Objects that are made before Python looks for circles among them. With its 700 a fifth of all time went there."""
ROOM = 4 * 2**30
"""Free bytes of memory's own file system (tmpfs) from which on the tests' folders stand there."""
OURS = 8 * 2**30
"""Bytes of memory that the processes under test need beside it."""


def _has_room() -> bool:
    """Whether the tests' folders may stand in memory: there is enough of it, and their programs can be run there."""
    try:
        there = os.statvfs(MEMORY)
        told = Path("/proc/meminfo").read_text(encoding="ascii").partition("MemAvailable:")[2]
        available = int(told.split()[0]) * 1024
    except (OSError, IndexError):
        return False
    if not os.access(MEMORY, os.W_OK) or there.f_flag & os.ST_NOEXEC or there.f_bavail * there.f_frsize <= ROOM:
        return False
    with suppress(OSError, ValueError):  # not readable, or `max`
        available = min(available, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return available > ROOM + OURS


# A journal commits with fsync, thousands of times in a run. No test cuts the power: of a process that is killed, all
# that it wrote stays.
if _has_room():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run cheap folders first; side by side the dear ones, so that none is left alone at the end."""
    items.sort(key=lambda item: _rank(item.path), reverse="PYTEST_XDIST_WORKER" in os.environ)


def pytest_collection_finish() -> None:
    """Look for garbage among what comes from now on: the libraries' two million objects stay, and a walk takes 1 s."""
    if "radbridge.journal.stores" in sys.modules:  # what was chosen may have no journal, and importing it takes 1 s
        from tests.support.store import copy_new_journals

        copy_new_journals()
    if transports := sys.modules.get("httpx._transports.default"):
        _share_contexts(transports)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_FIRST)


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """What a command sets up in its process, for all that it logs, ends with the test that calls it here."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level, hooks = root.handlers[:], root.level, (sys.excepthook, threading.excepthook)
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks


def _share_contexts(transports: Any) -> None:
    """A client that says nothing of TLS gets the context of the others: reading the authorities takes 20 ms each."""
    make = transports.create_ssl_context

    @cache
    def make_once(*_authorities: str, trust_env: bool) -> object:
        return make(verify=True, cert=None, trust_env=trust_env)

    def share(*, verify: object = True, cert: object = None, trust_env: bool = True) -> object:
        if verify is not True or cert is not None:
            return make(verify=verify, cert=cert, trust_env=trust_env)
        authorities = (os.environ.get(name, "") for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
        return make_once(*authorities, trust_env=trust_env)

    transports.create_ssl_context = share


def _rank(path: Path) -> int:
    return min((FOLDERS.index(part) for part in path.parts if part in FOLDERS), default=len(FOLDERS))
