"""`ResidentLoras`: the LoRA versions in an engine's memory. It alone decides which goes when another comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from radbridge.errors import LoraRefused
from radbridge.registry import LoraVersion

Step = Callable[[LoraVersion], Awaitable[None]]


@dataclass(eq=False, kw_only=True, slots=True)
class _Slot:
    version: LoraVersion
    users: int = 0
    loading: asyncio.Task[None] | None = None
    loaded: bool = False


class ResidentLoras:
    """At most `limit` versions at once; the least recently used one that no prompt uses gives way.

    `check` raises LoraRefused for files that must not be loaded: it runs before every load, so nothing comes into
    memory that wasn't verified. `load` and `drop` are the engine's own; they run one after the other.
    """

    def __init__(self, *, limit: int, check: Step, load: Step, drop: Step) -> None:
        self._limit = limit
        self._check = check
        self._load = load
        self._drop = drop
        self._slots: dict[str, _Slot] = {}
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @property
    def names(self) -> tuple[str, ...]:
        """The versions in memory, least recently used first."""
        return tuple(name for name, slot in self._slots.items() if slot.loaded)

    @asynccontextmanager
    async def use(self, version: LoraVersion) -> AsyncIterator[None]:
        """Have a version in memory while the block runs, loading it when it isn't there. Raises LoraRefused.

        Prompts that ask for one version at once share one load, and so its refusal.
        """
        while not (slot := await self._hold(version)):
            pass  # what was refused had its name and wasn't it
        try:
            yield
        finally:
            self._release(slot)

    async def retire(self, version: LoraVersion) -> None:
        """Free a version's memory once no prompt uses it; one that isn't there is no error."""
        while slot := self._slots.get(version.name):
            if slot.users or not slot.loaded:
                await self._wait_for_change()
                continue
            async with self._turn:
                await self._evict(slot)

    async def _hold(self, version: LoraVersion) -> _Slot | None:
        """Its slot, loaded and claimed; None when another version of that name was refused in its place."""
        slot = self._claim(version)
        try:
            if slot.version != version:
                await self._check(version)
            if not slot.loaded and not await self._is_loaded_by_now(slot, version):
                self._release(slot)
                return None
        except BaseException:
            self._release(slot)
            raise
        return slot

    async def _is_loaded_by_now(self, slot: _Slot, version: LoraVersion) -> bool:
        slot.loading = slot.loading or self._start_loading(slot)
        try:
            await asyncio.shield(slot.loading)
        except LoraRefused:
            if slot.version == version:
                raise
        return slot.loaded

    def _release(self, slot: _Slot) -> None:
        slot.users -= 1
        self._forget_unused(slot)
        self._freed.set()

    def _claim(self, version: LoraVersion) -> _Slot:
        if version.number < 1:
            raise LoraRefused(version.name, "its manifest has no number; publish it again")
        for slot in self._slots.values():
            if (slot.version.number == version.number) != (slot.version.name == version.name):
                raise LoraRefused(version.name, f"its number {version.number} is another version's")
        slot = self._slots.pop(version.name) if version.name in self._slots else _Slot(version=version)
        self._slots[version.name] = slot  # last: used most recently
        slot.users += 1
        return slot

    def _start_loading(self, slot: _Slot) -> asyncio.Task[None]:
        task = asyncio.create_task(self._fill(slot))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever waited may be gone
        return task

    async def _fill(self, slot: _Slot) -> None:
        """Check and load. It isn't cancelled with whoever asked: what the engine holds must be known here."""
        try:
            await self._check(slot.version)
            async with self._turn:
                await self._make_room()
                await self._load(slot.version)
                slot.loaded = True
        finally:
            if not slot.loaded:
                del self._slots[slot.version.name]
            self._freed.set()

    async def _make_room(self) -> None:
        while len(self.names) >= self._limit:
            idle = next((s for s in self._slots.values() if s.loaded and not s.users), None)
            if idle is None:
                await self._wait_for_change()
            else:
                await self._evict(idle)

    async def _evict(self, slot: _Slot) -> None:
        """Drop a version, unless a prompt has claimed it meanwhile. The caller has the turn."""
        if slot.users or not slot.loaded:
            return
        slot.loaded, slot.loading = False, None
        try:
            await self._drop(slot.version)
        finally:
            self._forget_unused(slot)
            self._freed.set()

    def _forget_unused(self, slot: _Slot) -> None:
        if not (slot.users or slot.loaded or slot.loading):
            self._slots.pop(slot.version.name, None)

    async def _wait_for_change(self) -> None:
        self._freed.clear()
        await self._freed.wait()
