"""`LoraKeeper`: which LoRA versions are in memory, and why. It loads ahead, counts who uses what, and retires."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import structlog

from radbridge.errors import LoraRefused, ModelError, ModelUnavailable
from radbridge.registry import LoraVersion
from radbridge_model_server.engines.engine import Engine, Prompt
from radbridge_model_server.loras.chain import LoraChain, Role

log = structlog.get_logger(__name__)

SWEEP_S = 5.0
_REFUSED_FOR_S = 60.0
"""How long a refused LoRA isn't read again, unless its files change."""
_WARM_S = 30.0
_AHEAD = 2
"""Loads ahead of drafts at once: a flood of orders must not hold up the drafts that are wanted now."""

Stamp = tuple[tuple[str, int, int], ...]
"""Name, size and time of each of a version's files."""


@dataclass(eq=False, kw_only=True, slots=True)
class _Held:
    """A version that was asked for since it was last retired."""

    version: LoraVersion
    last_used: float
    in_flight: int = 0
    loads: int = 0
    loading: asyncio.Task[ModelError | None] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Refusal:
    reason: str
    stamp: Stamp
    until: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraStatus:
    """One version as an operator sees it."""

    name: str
    number: int
    role: Role
    resident: bool
    loading: bool
    in_flight: int
    """Drafts that use it now."""
    idle_s: float
    loads: int
    refusal: str
    """Why it isn't served; empty when nothing is wrong with it."""


@dataclass(eq=False, kw_only=True, slots=True)
class LoraKeeper:
    """Stands before an engine's `ensure_lora` and `retire_lora`.

    A version stays while an alias names it or a draft uses it, and `retire_after_s` beyond its last draft; what the
    engine itself holds at once is the engine's own bound. `clock` gives seconds, like `time.monotonic`.
    """

    engine: Engine
    chain: LoraChain
    retire_after_s: float
    clock: Callable[[], float]
    _held: dict[LoraVersion, _Held] = field(default_factory=dict, init=False)
    _refusals: dict[LoraVersion, _Refusal] = field(default_factory=dict, init=False)
    _ahead: dict[LoraVersion, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AHEAD), init=False)

    @contextmanager
    def use(self, version: LoraVersion | None) -> Iterator[None]:
        """A version isn't retired while the block runs. None is the base, which never is."""
        if version is None:
            yield
            return
        held = self._hold(version)
        held.in_flight += 1
        try:
            yield
        finally:
            held.in_flight -= 1
            held.last_used = self.clock()

    async def wait_for(self, version: LoraVersion, until: float) -> bool:
        """Have a version in memory; False when it isn't there at `until`, and then loading goes on.

        Everybody who waits for a version waits for the same load. Raises LoraRefused, at once for a minute after the
        first time; ModelUnavailable when the engine fails.
        """
        if reason := self.find_refusal(version):
            raise LoraRefused(version.name, reason)
        if self.is_resident(version):
            return True
        loading = self._begin_loading(version)
        await asyncio.wait({loading}, timeout=max(0.0, until - self.clock()))
        if not loading.done():
            return False
        error = ModelUnavailable("the model server is stopping") if loading.cancelled() else loading.result()
        if error:
            raise error
        return True

    def prefetch(self, version: LoraVersion) -> None:
        """Begin to load a version and to warm it with one token, unless it is there."""
        if version not in self._ahead and not self.is_resident(version):
            self._ahead[version] = asyncio.create_task(self._warm(version))
            self._ahead[version].add_done_callback(lambda _: self._ahead.pop(version, None))

    def is_resident(self, version: LoraVersion) -> bool:
        """Whether a version is in the engine's memory."""
        return version.name in self.engine.stats().loras

    def find_refusal(self, version: LoraVersion) -> str:
        """Why a version was refused within the last minute; empty when it wasn't, or its files have changed since."""
        known = self._refusals.get(version)
        if known and self.clock() < known.until and _stamp(version) == known.stamp:
            return known.reason
        self._refusals.pop(version, None)
        return ""

    def statuses(self) -> list[LoraStatus]:
        """Every version in memory, asked for or refused lately, by name."""
        self._adopt()
        resident, now = frozenset(self.engine.stats().loras), self.clock()
        return [
            LoraStatus(
                name=version.name,
                number=version.number,
                role=self.chain.role(version),
                resident=version.name in resident,
                loading=held.loading is not None,
                in_flight=held.in_flight,
                idle_s=round(max(0.0, now - held.last_used), 1),
                loads=held.loads,
                refusal=self.find_refusal(version),
            )
            for version, held in sorted(self._held.items(), key=lambda item: item[0].name)
        ]

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self.sweep()
            except Exception:
                log.exception("LoRAs weren't swept", retry_in_s=SWEEP_S)

    async def sweep(self) -> None:
        """Retire what nobody names or uses any more, and load what was promoted beside what is in use."""
        self._adopt()
        for owner in {version.owner for version in self._held}:
            champion = self.chain.champion(owner)
            if champion and champion not in self._held:
                self.prefetch(champion)
        for version, held in list(self._held.items()):
            if self._is_over(held) and self._held.get(version) is held:
                del self._held[version]  # before the engine is asked: a draft that comes meanwhile counts anew
                self._refusals.pop(version, None)
                await self.engine.retire_lora(version)
                log.info("LoRA retired", lora=version.name)

    async def close(self) -> None:
        """Stop loading."""
        tasks = [*self._ahead.values(), *(h.loading for h in self._held.values() if h.loading)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _hold(self, version: LoraVersion) -> _Held:
        if version not in self._held:
            self._held[version] = _Held(version=version, last_used=self.clock())
        return self._held[version]

    def _adopt(self) -> None:
        """Count what came into memory by another way, such as a chat that names a version, from now on."""
        for name in set(self.engine.stats().loras) - {version.name for version in self._held}:
            with suppress(LoraRefused):
                if version := self.chain.find(name):
                    self._hold(version)

    def _is_over(self, held: _Held) -> bool:
        is_idle = not held.in_flight and held.loading is None
        is_old = self.clock() - held.last_used >= self.retire_after_s
        return is_idle and is_old and self.chain.role(held.version) is Role.NONE

    def _begin_loading(self, version: LoraVersion) -> asyncio.Task[ModelError | None]:
        held = self._hold(version)
        if held.loading is None:
            held.loading = asyncio.create_task(self._load(held))
        return held.loading

    async def _load(self, held: _Held) -> ModelError | None:
        """Load, whoever still waits for it; the error is the result, for as many as ask."""
        began, version = self.clock(), held.version
        stamp = await asyncio.to_thread(_stamp, version)
        try:
            await self.engine.ensure_lora(version)
        except LoraRefused as refusal:
            self._refusals[version] = _Refusal(reason=refusal.reason, stamp=stamp, until=self.clock() + _REFUSED_FOR_S)
            log.warning("LoRA refused", lora=version.name, reason=refusal.reason)
            return refusal
        except ModelError as error:
            return error
        except Exception as error:
            log.exception("LoRA not loaded", lora=version.name)
            return LoraRefused(version.name, f"it can't be loaded ({type(error).__name__})")
        finally:
            held.loading = None
            held.last_used = self.clock()
        held.loads += 1
        log.info("LoRA loaded", lora=version.name, ms=round((self.clock() - began) * 1000, 1))
        return None

    async def _warm(self, version: LoraVersion) -> None:
        """A draft that waits for its LoRA warms it itself: only a load ahead of drafts is worth a token."""
        with suppress(ModelError):
            async with self._places:
                await self.wait_for(version, math.inf)
                with self.use(version):
                    deadline = time.monotonic() + _WARM_S
                    prompt = Prompt(text="Impression:\n", lora=version, max_new_tokens=1, deadline=deadline)
                    await self.engine.generate(prompt)


def _stamp(version: LoraVersion) -> Stamp:
    try:
        stats = [(path.name, path.stat()) for path in sorted(version.path.iterdir())]
    except OSError:
        return ()
    return tuple((name, s.st_size, s.st_mtime_ns) for name, s in stats)
