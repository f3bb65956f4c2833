"""The one model server that all candidates are judged on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from radbridge.errors import ModelUnavailable
from radbridge_training.gate.arms import Serve

Answer = TypeVar("Answer")


class GateServer:
    """`with GateServer(serve, settings) as server: server.ask(work)`. When it dies it is started once more."""

    def __init__(self, serve: Serve, settings: Mapping[str, Any]) -> None:
        self._serve = serve
        self._settings = settings
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._url = ""
        self._may_restart = True

    def __enter__(self) -> Self:
        """Start it. Raises ModelUnavailable."""
        try:
            self._runner.run(self._start())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._runner.run(self._stack.aclose())
        finally:
            self._runner.close()

    def ask(self, work: Callable[[str], Coroutine[Any, Any, Answer]]) -> Answer:
        """What `work` gives with the server's URL. Raises ModelUnavailable where that fails a second time."""
        try:
            return self._runner.run(work(self._url))
        except ModelUnavailable:
            if not self._may_restart:
                raise
        self._may_restart = False
        self._runner.run(self._restart())
        return self._runner.run(work(self._url))

    async def _start(self) -> None:
        self._url = await self._stack.enter_async_context(self._serve(self._settings))

    async def _restart(self) -> None:
        await self._stack.aclose()
        await self._start()
