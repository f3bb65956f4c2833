"""The LoRA versions that a server elsewhere holds for us."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from radbridge.errors import LoraRefused, ModelError
from radbridge.registry import LoraVersion
from radbridge_model_server.engines.lora_check import check_lora, read_rules
from radbridge_model_server.engines.openai_server import OpenAIServer, ServerSaid
from radbridge_model_server.settings import Settings


class ServedLoras:
    """Loads each version once however many prompts ask, and lets go of the least recently used above `max_loras`.

    One that a prompt uses is never let go of: a crowd of many LoRAs goes above the bound, and nobody waits for a place.

    A LoRA's name there is the version's, which is never given twice. So it doesn't matter that the server keys its
    prefix cache by name, that its unload forgets no more than the name (vllm#42207), or that another replica of ours
    has loaded the version already: whatever a server knows by that name is these weights.
    """

    def __init__(self, server: OpenAIServer, settings: Settings, *, base_digest: str) -> None:
        self._server = server
        self._settings = settings
        self._rules = read_rules(settings, base_digest)
        self._held: OrderedDict[LoraVersion, None] = OrderedDict()
        self._uses: Counter[LoraVersion] = Counter()
        self._retired: set[LoraVersion] = set()
        self._loading: dict[LoraVersion, asyncio.Task[None]] = {}
        self._unloading: dict[LoraVersion, asyncio.Task[None]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the versions that are held, least recently used first."""
        return tuple(version.name for version in self._held)

    @asynccontextmanager
    async def use(self, version: LoraVersion) -> AsyncIterator[None]:
        """Keep a version while a prompt needs it. Raises LoraRefused or ModelUnavailable."""
        self._uses[version] += 1
        try:
            await self.ensure(version)
            yield
        finally:
            self._uses[version] -= 1
            self._let_go()

    async def ensure(self, version: LoraVersion) -> None:
        """Have a version loaded. Loading goes on when who waits for it doesn't: the next prompt finds it."""
        self._retired.discard(version)
        if version not in self._held:
            await asyncio.shield(self._loading.get(version) or self._start_loading(version))
        if version in self._held:
            self._held.move_to_end(version)

    async def retire(self, version: LoraVersion) -> None:
        """Let go of a version once nobody uses it."""
        if version in self._held or version in self._loading:
            self._retired.add(version)
        self._let_go()
        if unloading := self._unloading.get(version):
            await asyncio.wait([unloading])

    def lose(self, version: LoraVersion) -> None:
        """The server doesn't know this version any more; it has been restarted, or another replica unloaded it."""
        self._held.pop(version, None)

    async def close(self) -> None:
        """Stop loading. What the server holds, it keeps: other replicas may be using it."""
        tasks = [*self._loading.values(), *self._unloading.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start_loading(self, version: LoraVersion) -> asyncio.Task[None]:
        task = self._loading[version] = asyncio.create_task(self._load(version))
        task.add_done_callback(lambda done: self._end_loading(version, done))
        return task

    def _end_loading(self, version: LoraVersion, done: asyncio.Task[None]) -> None:
        del self._loading[version]
        if not done.cancelled() and done.exception() is None:  # asking for it keeps asyncio from complaining
            self._held[version] = None
            self._let_go(but=version)

    async def _load(self, version: LoraVersion) -> None:
        await asyncio.to_thread(check_lora, version, self._rules)
        if unloading := self._unloading.get(version):
            await asyncio.wait([unloading])
        reason = await self._ask_to_load(version)
        if reason and version.name not in {card.id for card in await self._server.list_models()}:
            raise LoraRefused(version.name, reason)

    async def _ask_to_load(self, version: LoraVersion) -> str:
        """Why the server can't load it; empty when it has."""
        if not self._settings.openai.load_loras:
            return "the server doesn't list it and openai.load_loras is off; start it with --lora-modules NAME=PATH"
        try:
            await self._server.load_lora(version.name, str(self._see(version.path)))
        except ServerSaid as said:
            if words := self._server.redact(said.words):
                return f"the server can't load it: {words}"
            if said.status == httpx.codes.NOT_FOUND:
                return "the server lets nobody load LoRAs; start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
            raise
        return ""

    def _see(self, path: Path) -> Path:
        """Where the server sees a LoRA's folder. Personas outside `loras` must be at the same path there."""
        ours, theirs = self._settings.loras, self._settings.openai.loras_seen_at
        if ours and theirs and path.is_relative_to(ours):
            return theirs / path.relative_to(ours)
        return path.absolute()

    def _let_go(self, but: LoraVersion | None = None) -> None:
        idle = [version for version in self._held if not self._uses[version] and version != but]
        surplus = max(0, len(self._held) - self._settings.max_loras)
        for version in {*idle[:surplus], *self._retired.intersection(idle)}:
            del self._held[version]
            self._retired.discard(version)
            self._unloading[version] = asyncio.create_task(self._unload(version))
        self._uses = +self._uses

    async def _unload(self, version: LoraVersion) -> None:
        try:
            if self._settings.openai.load_loras:
                await self._server.unload_lora(version.name)
        except ModelError:
            pass  # the server forgets it when it restarts
        finally:
            del self._unloading[version]
