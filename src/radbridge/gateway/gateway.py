"""A running gateway: its parts, started in order; what each tells the others; what HTTP may ask of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from radbridge import traces
from radbridge.audit import What
from radbridge.config import Site
from radbridge.errors import ConfigError, JournalError
from radbridge.flow import trail
from radbridge.flow.membership import Membership, keep, keep_leased
from radbridge.flow.wake import Alarm
from radbridge.gateway import parts
from radbridge.gateway.plugins import load_entry_points, make_wires
from radbridge.journal import audit, cursors
from radbridge.meter import WireMeter
from radbridge.metrics import Metrics
from radbridge.wire import Bells, Listener, Mount, Status, Store

log = structlog.get_logger(__name__)


class Gateway(Status):
    """`async with Gateway(site) as gateway: await gateway.serve()`."""

    def __init__(self, site: Site, *, config: Path | None = None) -> None:
        """`config` is the file that `site` came from: training turns are begun with it."""
        self.site = site
        self._config = config
        self.metrics = Metrics()
        self._stack = AsyncExitStack()
        """What was started, to be stopped the other way round."""
        self.listeners: dict[str, Listener] = {}
        self._expected: Sequence[str] = ()
        """Names of all listeners; the HTTP port answers before the others listen."""

    async def __aenter__(self) -> Self:
        """Open the journal, start every listener; the model may still be loading. Raises ConfigError, JournalError."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening first, then close what was behind it."""
        await self._stack.aclose()

    async def _start(self) -> None:
        """In order: each part leans on those before it, and on none after it."""
        await self._start_tracing()
        base = await self._start_base()
        self.intake = parts.make_intake(base)
        self.wires = make_wires(self.site, self.intake)
        self.rememberer = await parts.make_rememberer(base, self.wires, self.intake)
        self.model_keeper = await parts.make_model_keeper(base, self.wires, self.rememberer, self._tell_of_work)
        self.processor = parts.make_processor(base, self.wires, self.intake, self.model_keeper, self._tell_of_work)
        self.couriers = parts.make_couriers(base, self.wires)
        for sink in (sink for wire in self.wires for sink in wire.sinks):
            self._stack.push_async_callback(sink.close)
        self.watcher = parts.make_watcher(base)
        self.own_workers = parts.make_own_workers(base, self.wires, self.rememberer)
        self.leased_workers = parts.make_leased_workers(base, self.wires, self.intake, self.watcher, self._config)
        self._listen_to_bells()
        await self.membership.start(parts.name_leases(self.wires, self.couriers, self.leased_workers))
        await self._start_listeners()

    async def serve(self) -> None:
        """Work until cancelled. Intake and delivery go on whatever the model does (rule 4)."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep("processor", self.processor.run), name="processor")
            for worker in self.own_workers:
                tasks.create_task(keep(worker.name, worker.run), name=worker.name)
            for worker in self.leased_workers:
                tasks.create_task(keep_leased(worker, self.membership.holder), name=worker.name)
            for courier in self.couriers:
                tasks.create_task(keep("courier", courier.run), name="courier")
            tasks.create_task(self._draft(), name="drafter")

    async def _draft(self) -> None:
        await self.model_keeper.run()

    async def _start_tracing(self) -> None:
        """Spans go to the site's collector, where it names one; its SDK is loaded only then."""
        if self.site.traces.endpoint is None:
            return
        tracer = load_entry_points("radbridge.tracers")["otlp"](
            self.site.traces, self.site.cluster.name or socket.gethostname()
        )
        self._stack.push_async_callback(tracer.close)
        self._stack.callback(traces.record, None)
        traces.record(tracer)

    async def _start_base(self) -> parts.Base:
        """The journal, and this gateway's place among those that share it."""
        self.journal = await parts.open_journal(self.site, self.metrics)
        self._stack.push_async_callback(self.journal.close)
        await self.journal.write(audit.record, trail.note_of(What.STARTED))
        if not self.site.retention.is_on:
            await self.journal.write(cursors.forget, cursors.PURGE)
        self._stack.push_async_callback(trail.note_end, self.journal)
        self.membership = Membership(
            self.journal, self.site.cluster, metrics=self.metrics, address=self.site.http.listen
        )
        self._stack.push_async_callback(self.membership.stop)
        return parts.Base(site=self.site, journal=self.journal, membership=self.membership, metrics=self.metrics)

    async def _start_listeners(self) -> None:
        named = {name: make(self.site, self) for name, make in load_entry_points("radbridge.http").items()} | {
            f"{w.name}{i or ''}": listener for w in self.wires for i, listener in enumerate(w.listeners)
        }
        self._expected = tuple(named)
        for name, listener in named.items():
            try:
                await listener.start()
            except OSError as error:
                problem = f"{name}: can't listen on {listener.address}: {error.strerror}"
                advice = f"is another gateway running? If it is another program, set another port in {name}.listen"
                raise ConfigError([f"{problem}; {advice}"]) from None
            self.listeners[name] = listener
            self._stack.push_async_callback(listener.stop)

    # Who wakes whom.

    def _listen_to_bells(self) -> None:
        """What others tell, and what is to be looked at when a share has changed."""
        bells = self.membership.bells
        bells.on("apply", _ringing(self.processor.alarm))
        bells.on("draft", lambda _: self._hear_drafts())
        for courier in self.couriers:
            for topic in (f"deliver:{courier.destination}", "destination"):
                bells.on(topic, _ringing(courier.alarm))
        self.membership.holder.on_change(self._look_again)

    def _tell_of_work(self) -> None:
        """A case has changed, or a draft was made: every gateway looks what follows."""
        bells = self.membership.bells
        bells.ring("draft")
        for destination in {sink.name for wire in self.wires for sink in wire.sinks}:
            bells.ring(f"deliver:{destination}")

    def _hear_drafts(self) -> None:
        """Somewhere a case has changed, or a draft was made."""
        self.model_keeper.look()
        self.intake.bell.ring()
        self.rememberer.alarm.ring()
        if self.watcher is not None:
            self.watcher.alarm.ring()

    def _look_again(self) -> None:
        """This gateway's share is another one."""
        self.processor.alarm.ring()
        self.model_keeper.look()
        for courier in self.couriers:
            courier.alarm.ring()

    # What HTTP may ask.

    @property
    def store(self) -> Store:
        """The journal's database."""
        return self.journal

    @property
    def bells(self) -> Bells:
        """Those that the journal's other users ring too."""
        return self.membership.bells

    @property
    def meter(self) -> WireMeter:
        """What counts."""
        return self.metrics

    @property
    def mounts(self) -> Sequence[Mount]:
        """The applications of all wires."""
        return [mount for wire in self.wires for mount in wire.mounts]

    @property
    def addresses(self) -> Mapping[str, str]:
        """Where each listener listens."""
        return {name: listener.address for name, listener in self.listeners.items()}

    async def readiness(self) -> Mapping[str, bool]:
        """Each part and whether it answers."""
        parts = {name: name in self.listeners for name in self._expected}
        parts["journal"] = await self._journal_answers()
        parts["model"] = await self.model_keeper.ready()
        for part, ready in parts.items():
            self.metrics.ready.labels(part).set(ready)
        return parts

    async def _journal_answers(self) -> bool:
        try:
            await self.membership.beat()
        except JournalError:
            log.exception("journal unavailable")
            return False
        return True

    def metrics_page(self) -> bytes:
        """The Prometheus exposition text."""
        return self.metrics.page()


def _ringing(alarm: Alarm) -> Callable[[str], None]:
    return lambda _topic: alarm.ring()
