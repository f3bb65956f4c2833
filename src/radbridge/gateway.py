"""The gateway: the one place that knows every part, and puts them together from entry points.

radbridge.adapters        (site, desk) -> Wire
radbridge.http            (site, status) -> Listener
radbridge.model_clients   (url, timeout_s, trust) -> ModelClient
radbridge.tracers         (traces, gateway) -> Tracer
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from radbridge import traces
from radbridge.audit import What
from radbridge.config import Site
from radbridge.config.tls import Trust
from radbridge.embedded import EmbeddedModelServer
from radbridge.errors import ConfigError, JournalError, ModelUnavailable
from radbridge.flow import importing, trail
from radbridge.flow.delivery import make_couriers
from radbridge.flow.drafting import Drafter, ModelClient
from radbridge.flow.gauging import Gauging
from radbridge.flow.holding import worker_lease
from radbridge.flow.intake import JournalIntake, state_topic
from radbridge.flow.judging import Judge
from radbridge.flow.membership import Membership, keep, keep_leased
from radbridge.flow.prefetch import Prefetcher
from radbridge.flow.process import Processor
from radbridge.flow.remembering import Rememberer
from radbridge.flow.scheduling import Scheduler
from radbridge.flow.wake import Alarm
from radbridge.flow.watching import Watcher
from radbridge.guard.policy import GuardPolicy
from radbridge.journal import Journal, audit, secrets
from radbridge.meter import WireMeter
from radbridge.metrics import Metrics
from radbridge.registry import LoraRegistry
from radbridge.wire import Bells, Desk, Kind, Listener, Mount, Status, Store, Wire, Worker

log = structlog.get_logger(__name__)

MODEL_POLL_S = 0.5
SCRUBBING = worker_lease(Rememberer.name)
"""Whose holder takes patients out of signed reports; every gateway keeps an index of what is remembered."""


def load_entry_points(group: str) -> dict[str, Any]:
    """Everything installed under `group`, by name. Raises ConfigError for what can't be imported."""
    found: dict[str, Any] = {}
    for point in sorted(entry_points(group=group), key=lambda p: p.name):
        found[point.name] = _load(point)
    return found


def _load(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        raise ConfigError([f"{point.group}: {point.name} ({point.value}) can't be loaded: {error}"]) from error


def make_wires(site: Site, desk: Desk) -> list[Wire]:
    """Every installed wire, for this site."""
    return [make(site, desk) for make in load_entry_points("radbridge.adapters").values()]


def make_model_client(url: str, timeout_s: float, trust: Trust | None = None) -> ModelClient:
    """A client of the model server at `url`."""
    client: ModelClient = load_entry_points("radbridge.model_clients")["http"](url, timeout_s, trust or Trust())
    return client


class Gateway(Status):
    """A running gateway: `async with Gateway(site) as gateway: await gateway.serve()`."""

    def __init__(self, site: Site, *, config: Path | None = None) -> None:
        """`config` is the file that `site` came from: training turns are begun with it."""
        self.site = site
        self._config = config
        self.metrics = Metrics()
        self._stack = AsyncExitStack()
        self._model: ModelClient | None = None
        self._prefetcher: Prefetcher | None = None
        self._child: EmbeddedModelServer | None = None
        self._expected: Sequence[str] = ()
        """Names of all listeners; the HTTP port answers before the others listen."""
        self._model_ready = False

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

    async def _start(self) -> None:
        site = self.site
        await self._start_tracing()
        self.journal = await Journal.open(site.store, encryption=site.encryption, meter=self.metrics, alone=True)
        self._stack.push_async_callback(self.journal.close)
        if await self.journal.read(lambda conn: secrets.is_there(conn, secrets.SANDBOX)):
            raise ConfigError(["store.url: this journal is a replay's; a gateway would send its drafts once more"])
        for name in (secrets.PSEUDONYMS, secrets.CASES):
            await self.journal.write(secrets.make, name)
        await self.journal.write(audit.record, trail.note_of(What.STARTED))
        self._stack.push_async_callback(trail.note_end, self.journal)
        self.membership = Membership(self.journal, site.cluster, metrics=self.metrics, address=site.http.listen)
        self._stack.push_async_callback(self.membership.stop)
        bells, holder = self.membership.bells, self.membership.holder
        self.intake = JournalIntake(self.journal, self.metrics, self._on_accepted, bells=bells, holder=holder)
        self.wires = make_wires(site, self.intake)
        translators = {w.name: w.translate for w in self.wires} | {importing.WIRE: importing.translate_row}
        self.processor = Processor(
            self.journal,
            translators,
            settle_s=site.model.settle_s,
            metrics=self.metrics,
            on_change=self._wake,
            on_signer=self._expect,
            on_end=lambda message_id: bells.ring(state_topic(message_id)),
            is_pressed=lambda: self.intake.is_pressed,
            remembers=site.memory.enabled,
            rules=site.flow,
            holder=holder,
            pop_orphans=self.membership.pop_orphans,
            poll_s=site.cluster.poll_s,
        )
        self.rememberer = Rememberer(
            self.journal,
            translators=translators,
            settings=site.memory,
            secret=await self.journal.read(lambda conn: secrets.read(conn, secrets.PSEUDONYMS)),
            metrics=self.metrics,
            is_pressed=lambda: self.intake.is_pressed,
            scrubs=lambda: holder.is_sole or SCRUBBING in holder.held(Kind.WORKER),
            is_shared=not holder.is_sole,
        )
        self.watcher = self._make_watcher()
        sinks = [sink for wire in self.wires for sink in wire.sinks]
        self.couriers = [
            courier
            for wire in self.wires
            for courier in make_couriers(
                self.journal,
                wire,
                site.deliveries,
                metrics=self.metrics,
                holder=holder,
                ahead=timedelta(seconds=site.flow.urgent_ahead_s),
                poll_s=site.cluster.poll_s,
            )
        ]
        for sink in sinks:
            self._stack.push_async_callback(sink.close)
        load_entry_points("radbridge.model_clients")
        self._leased = self._make_leased()
        self._listen_to_bells()
        await self.membership.start(
            {SCRUBBING, *(c.lease for c in self.couriers), *(worker_lease(w.name) for w in self._leased)}
            | {lease for wire in self.wires for lease in wire.bound.values()}
        )
        self.listeners = await self._start_listeners()

    def _make_leased(self) -> list[Worker]:
        """What one gateway of a cluster does."""
        site = self.site
        leased: list[Worker] = [worker for wire in self.wires for worker in wire.leased]
        leased += trail.leased_workers(
            site, self.journal, metrics=self.metrics, is_pressed=lambda: self.intake.is_pressed
        )
        if self.watcher is not None:
            leased.append(self.watcher)
        if (period := site.training.period) is not None:
            leased.append(Scheduler(site.training, period=period, config=self._config, told=sys.stderr))
        return leased

    def _listen_to_bells(self) -> None:
        """What others tell, and what is to be looked at when a share has changed."""
        bells = self.membership.bells
        bells.on("apply", _ringing(self.processor.alarm))
        bells.on("draft", lambda _: self._hear_drafts())
        for courier in self.couriers:
            for topic in (f"deliver:{courier.destination}", "destination"):
                bells.on(topic, _ringing(courier.alarm))
        self.membership.holder.on_change(self._look_again)

    def _look_again(self) -> None:
        """This gateway's share is another one."""
        self.processor.alarm.ring()
        if self._model_ready:
            self.drafter.alarm.ring()
        for courier in self.couriers:
            courier.alarm.ring()

    def _hear_drafts(self) -> None:
        """Somewhere a case has changed, or a draft was made."""
        if self._model_ready:
            self.drafter.alarm.ring()
        self.intake.bell.ring()
        self.rememberer.alarm.ring()
        if self.watcher is not None:
            self.watcher.alarm.ring()

    def _make_watcher(self) -> Watcher | None:
        """None where there is no registry: then no LoRA of anybody's is on trial."""
        if self.site.registry is None:
            return None
        registry, rules = LoraRegistry(self.site.registry), self.site.training.trial
        return Watcher(self.journal, registry=registry, rules=rules, metrics=self.metrics)

    async def _start_listeners(self) -> dict[str, Listener]:
        named = {name: make(self.site, self) for name, make in load_entry_points("radbridge.http").items()} | {
            f"{w.name}{i or ''}": listener for w in self.wires for i, listener in enumerate(w.listeners)
        }
        started: dict[str, Listener] = {}
        self.listeners, self._expected = started, tuple(named)
        for name, listener in named.items():
            try:
                await listener.start()
            except OSError as error:
                problem = f"{name}: can't listen on {listener.address}: {error.strerror}"
                advice = f"is another gateway running? If it is another program, set another port in {name}.listen"
                raise ConfigError([f"{problem}; {advice}"]) from None
            started[name] = listener
            self._stack.push_async_callback(listener.stop)
        return started

    async def serve(self) -> None:
        """Work until cancelled. Intake and delivery go on whatever the model does (rule 4)."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep("processor", self.processor.run), name="processor")
            gauging = Gauging(self.journal, self.metrics, disk=self.site.store.folder)
            own: list[Worker] = [self.membership, gauging, *trail.own_workers(self.site, self.journal)]
            own += [self.rememberer] if self.site.memory.enabled else []
            own += [worker for wire in self.wires for worker in wire.workers]
            for worker in own:
                tasks.create_task(keep(worker.name, worker.run), name=worker.name)
            for worker in self._leased:
                tasks.create_task(keep_leased(worker, self.membership.holder), name=worker.name)
            for courier in self.couriers:
                tasks.create_task(keep("courier", courier.run), name="courier")
            tasks.create_task(self._draft(), name="drafter")

    async def _draft(self) -> None:
        """Keep a model server at hand and draft; an embedded one that dies is started again."""
        while True:
            async with AsyncExitStack() as stack:
                url = self.site.model.url
                died: asyncio.Task[int] | None = None
                if url == "embedded":
                    try:
                        child = await stack.enter_async_context(
                            EmbeddedModelServer(self.site.model, sys.stderr, lexicon=self.site.guard.lexicon)
                        )
                    except ModelUnavailable:
                        log.exception("no model server; drafting stands still", retry_in_s=10.0)
                        await asyncio.sleep(10.0)
                        continue
                    url, died = child.url, asyncio.create_task(child.died())
                self._model = make_model_client(url, self.site.model.deadline_s, self.site.model)
                stack.push_async_callback(self._model.close)
                drafting = asyncio.create_task(self._draft_with(self._model, url))
                try:
                    await asyncio.wait({drafting, died} if died else {drafting}, return_when=asyncio.FIRST_COMPLETED)
                    if drafting.done():
                        drafting.result()  # it never returns: an error nobody foresaw ends the gateway, loudly
                    log.error("the model server ended; starting another", rc=died.result() if died else None)
                finally:
                    self._model_ready = False
                    self._model = None
                    drafting.cancel()
                    await asyncio.gather(drafting, return_exceptions=True)
                    if died:
                        died.cancel()

    async def _draft_with(self, model: ModelClient, url: str = "") -> None:
        while not await model.ready():  # noqa: ASYNC110 - a server elsewhere has no event to wait for
            await asyncio.sleep(MODEL_POLL_S)
        log.info("drafting", url=url)
        self.drafter = Drafter(
            self.journal,
            model,
            destinations=[s.name for w in self.wires for s in w.sinks],
            deadline_s=self.site.model.deadline_s,
            concurrency=self.site.model.concurrency,
            metrics=self.metrics,
            on_draft=self._wake,
            case_secret=await self.journal.read(lambda conn: secrets.read(conn, secrets.CASES)),
            judge=Judge(policy=GuardPolicy(site=self.site.guard.policy), lexicon=self.site.guard.lexicon),
            recall=self.rememberer.recall if self.site.memory.enabled else None,
            recall_s=min(self.site.memory.wait_s, self.site.model.deadline_s / 4),
            ahead=timedelta(seconds=self.site.flow.urgent_ahead_s),
            holder=self.membership.holder,
            poll_s=self.site.cluster.poll_s,
        )
        self._prefetcher = Prefetcher(model)
        self._model_ready = True
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.drafter.run(), name="drafter")
            tasks.create_task(self._prefetcher.run(), name="prefetcher")

    def _on_accepted(self) -> None:
        self.membership.bells.ring("apply")

    def _expect(self, radiologist: str) -> None:
        """Only a hint: with no model at hand it is dropped."""
        if self._model_ready and self._prefetcher is not None:
            self._prefetcher.expect(radiologist)

    def _wake(self) -> None:
        bells = self.membership.bells
        bells.ring("draft")
        for destination in {courier.destination for courier in self.couriers}:
            bells.ring(f"deliver:{destination}")

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
        parts["model"] = self._model is not None and self._model_ready and await self._model.ready()
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
