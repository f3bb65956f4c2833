"""Leaves no process behind: Ray's own agents outlive a server that was killed outright."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_AWAITED = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGCHLD)
_STOP_S = 10
"""What the work gets to stop in: while Ray starts or ends, it may not listen to signals for minutes."""


def supervise(work: Callable[[], int]) -> int:
    """Run `work` in a child process, and return its exit status once every process it started is gone.

    SIGTERM and SIGINT go on to the child as SIGTERM; SIGKILL follows when that does not end it. The child gets SIGTERM
    when this process is killed. Call it before any thread is started.
    """
    _control(_PR_SET_CHILD_SUBREAPER, 1)
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        _control(_PR_SET_PDEATHSIG, signal.SIGTERM)
        status = work() if os.getppid() == parent else 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    status = _wait_for(child)
    _end_children()
    return status if status >= 0 else 128 - status


def _wait_for(child: int) -> int:
    """The child's status once it has ended. Signals are blocked and taken here: none is lost, whenever it comes.

    A handler isn't enough: between Python's last look for signals and `waitpid` one more may come, and wait for ever.
    """
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        number = signal.sigwait(_AWAITED)
        if number != signal.SIGCHLD:
            os.kill(child, signal.SIGKILL if number == signal.SIGALRM else signal.SIGTERM)
            signal.alarm(_STOP_S)
    return os.waitstatus_to_exitcode(ended[1])


def _control(option: int, value: int) -> None:
    """Linux's `prctl`; other systems go without."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _end_children() -> None:
    """Kill what is left. As sub-reaper this process has inherited every orphan, and inherits theirs in turn."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while children.exists() and (left := children.read_text().split()):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(int(pid), 0)
