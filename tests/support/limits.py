"""Time limits of ours that end when a test says so: no machine is too slow for them, and no test waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from types import SimpleNamespace

import pytest


class Limits:
    """The limits that one module sets with `asyncio.timeout` and `asyncio.timeout_at`."""

    def __init__(self) -> None:
        self._made: list[asyncio.Timeout] = []

    def make(self, when: float | None) -> asyncio.Timeout:
        """A limit without an end, in place of one."""
        made = asyncio.timeout(None)
        self._made.append(made)
        return made

    def end(self) -> None:
        """The time of all that run is over."""
        now = asyncio.get_running_loop().time()
        for one in self._made:
            with suppress(RuntimeError):  # it doesn't run any more
                one.reschedule(now)
        self._made.clear()


def limits_of(module: str, monkeypatch: pytest.MonkeyPatch) -> Limits:
    """Take over the limits of a module, for the time of a test."""
    limits = Limits()
    names = vars(asyncio) | {"timeout": limits.make, "timeout_at": limits.make}
    monkeypatch.setattr(f"{module}.asyncio", SimpleNamespace(**names))
    return limits


class Clock:
    """A clock that a test sets forward."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._ahead_s = 0.0

    def __call__(self) -> float:
        """What it shows."""
        return self._time() + self._ahead_s

    def skip(self, seconds: float) -> None:
        """So much time is over."""
        self._ahead_s += seconds


def clock_of(module: str, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Take over a module's `monotonic`, for the time of a test."""
    clock = Clock(monotonic)
    monkeypatch.setattr(f"{module}.monotonic", clock)
    return clock


def clock_of_loop(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Take over the clock of the running event loop, and with it all timers and limits that run in it."""
    loop = asyncio.get_running_loop()
    clock = Clock(loop.time)
    monkeypatch.setattr(loop, "time", clock)
    return clock


async def pass_until(clock: Clock, done: Callable[[], object], *, by_s: float) -> None:
    """Skip so much time again and again, until it shows: what is on its way meanwhile begins anew each time."""
    while not done():
        clock.skip(by_s)
        await asyncio.sleep(0.01)
