"""A loop whose time passes only while nothing else can happen: waits cost nothing, and no machine is too slow.

For tests of deadlines within one process. Nothing outside of it, such as another process, may have to be waited for.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack
from unittest.mock import patch

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


def skipping_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on a loop that skips its waits; `time.monotonic` is that loop's clock meanwhile."""

    @functools.wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            clock = runner.get_loop().time
            with patch.object(time, "monotonic", clock):
                runner.run(test(*args, **kwargs))

    return run


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 1000.0
        self.in_threads = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Args]], _T], *args: *_Args
    ) -> asyncio.Future[_T]:
        """As ever, and time stands still until it's done."""
        future = super().run_in_executor(executor, func, *args)
        self.in_threads += 1
        future.add_done_callback(self._leave)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as it's called
        """As ever, and without a limit: waiting for threads is no time here."""
        self.in_threads += 1
        await super().shutdown_default_executor()

    def _leave(self, _: object) -> None:
        self.in_threads -= 1


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: _Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready. Where only the time is waited for, it is there."""
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self._loop.in_threads:
            return super().select(None)
        ready = super().select(0)
        if not ready:
            self._loop.now += timeout
        return ready
