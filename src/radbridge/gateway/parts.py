"""The parts of a gateway, each made from those before it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from radbridge.config import Site
from radbridge.flow import importing, trail
from radbridge.flow.applying import Translate
from radbridge.flow.courier import Courier
from radbridge.flow.delivery import make_couriers as make_couriers_of
from radbridge.flow.drafting import Drafter
from radbridge.flow.gauging import Gauging
from radbridge.flow.holding import worker_lease
from radbridge.flow.intake import JournalIntake, state_topic
from radbridge.flow.judging import Judge
from radbridge.flow.membership import Membership
from radbridge.flow.process import Processor
from radbridge.flow.remembering import Rememberer
from radbridge.flow.scheduling import Scheduler
from radbridge.flow.watching import Watcher
from radbridge.gateway.model_keeper import ModelKeeper
from radbridge.gateway.plugins import load_entry_points
from radbridge.guard.policy import GuardPolicy
from radbridge.journal import Journal, secrets
from radbridge.metrics import Metrics
from radbridge.registry import LoraRegistry
from radbridge.wire import Kind, Wire, Worker

SCRUBBING = worker_lease(Rememberer.name)
"""Whose holder takes patients out of signed reports; every gateway keeps an index of what is remembered."""

Wires = Sequence[Wire]


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """What every part leans on."""

    site: Site
    journal: Journal
    membership: Membership
    metrics: Metrics


async def open_journal(site: Site, metrics: Metrics) -> Journal:
    """The site's journal, with the secrets that its gateways share. Raises ConfigError, JournalError."""
    journal = await Journal.open(site.store, encryption=site.encryption, meter=metrics, alone=True)
    try:
        await journal.read(secrets.refuse_sandbox)
        for name in (secrets.PSEUDONYMS, secrets.CASES):
            await journal.write(secrets.make, name)
    except BaseException:
        await journal.close()
        raise
    return journal


def make_intake(base: Base) -> JournalIntake:
    """Where wires hand in what they read."""
    bells, holder = base.membership.bells, base.membership.holder
    return JournalIntake(base.journal, base.metrics, lambda: bells.ring("apply"), bells=bells, holder=holder)


async def make_rememberer(base: Base, wires: Wires, intake: JournalIntake) -> Rememberer:
    """Who keeps what radiologists signed."""
    holder = base.membership.holder
    return Rememberer(
        base.journal,
        translators=_translators(wires),
        settings=base.site.memory,
        secret=await base.journal.read(lambda conn: secrets.read(conn, secrets.PSEUDONYMS)),
        metrics=base.metrics,
        is_pressed=lambda: intake.is_pressed,
        scrubs=lambda: holder.is_sole or SCRUBBING in holder.held(Kind.WORKER),
        is_shared=not holder.is_sole,
    )


async def make_model_keeper(
    base: Base, wires: Wires, rememberer: Rememberer, on_draft: Callable[[], None]
) -> ModelKeeper:
    """Who drafts, once a model answers."""
    load_entry_points("radbridge.model_clients")  # one that can't be loaded is told of now
    site = base.site
    make_drafter = partial(
        Drafter,
        base.journal,
        destinations=[sink.name for wire in wires for sink in wire.sinks],
        deadline_s=site.model.deadline_s,
        concurrency=site.model.concurrency,
        metrics=base.metrics,
        on_draft=on_draft,
        case_secret=await base.journal.read(lambda conn: secrets.read(conn, secrets.CASES)),
        judge=Judge(policy=GuardPolicy(site=site.guard.policy), lexicon=site.guard.lexicon),
        recall=rememberer.recall if site.memory.enabled else None,
        recall_s=min(site.memory.wait_s, site.model.deadline_s / 4),
        ahead=timedelta(seconds=site.flow.urgent_ahead_s),
        holder=base.membership.holder,
        poll_s=site.cluster.poll_s,
    )
    return ModelKeeper(site, make_drafter)


def make_processor(
    base: Base, wires: Wires, intake: JournalIntake, model_keeper: ModelKeeper, on_change: Callable[[], None]
) -> Processor:
    """Who applies messages to cases."""
    site, bells = base.site, base.membership.bells
    return Processor(
        base.journal,
        _translators(wires),
        settle_s=site.model.settle_s,
        metrics=base.metrics,
        on_change=on_change,
        on_signer=model_keeper.expect,
        on_end=lambda message_id: bells.ring(state_topic(message_id)),
        is_pressed=lambda: intake.is_pressed,
        remembers=site.memory.enabled,
        rules=site.flow,
        holder=base.membership.holder,
        pop_orphans=base.membership.pop_orphans,
        poll_s=site.cluster.poll_s,
    )


def make_couriers(base: Base, wires: Wires) -> list[Courier]:
    """Who delivers, over each connection to each destination."""
    return [
        courier
        for wire in wires
        for courier in make_couriers_of(
            base.journal,
            wire,
            base.site.deliveries,
            metrics=base.metrics,
            holder=base.membership.holder,
            me=base.membership.id,
            ahead=timedelta(seconds=base.site.flow.urgent_ahead_s),
            poll_s=base.site.cluster.poll_s,
        )
    ]


def make_watcher(base: Base) -> Watcher | None:
    """Who watches LoRAs on trial; None where there is no registry, so that nobody's is."""
    if base.site.registry is None:
        return None
    registry, rules = LoraRegistry(base.site.registry), base.site.training.trial
    return Watcher(base.journal, registry=registry, rules=rules, metrics=base.metrics)


def make_own_workers(base: Base, wires: Wires, rememberer: Rememberer) -> list[Worker]:
    """What every gateway does beside applying, drafting and delivering."""
    gauging = Gauging(
        base.journal,
        base.metrics,
        disk=base.site.store.folder,
        tells_syslog=base.site.audit.syslog.address is not None,
        purges=base.site.retention.is_on,
    )
    own: list[Worker] = [base.membership, gauging, *trail.own_workers(base.site, base.journal)]
    own += [rememberer] if base.site.memory.enabled else []
    own += [worker for wire in wires for worker in wire.workers]
    return own


def make_leased_workers(
    base: Base, wires: Wires, intake: JournalIntake, watcher: Watcher | None, config: Path | None
) -> list[Worker]:
    """What one gateway of a cluster does."""
    site = base.site
    leased: list[Worker] = [worker for wire in wires for worker in wire.leased]
    leased += trail.leased_workers(site, base.journal, metrics=base.metrics, is_pressed=lambda: intake.is_pressed)
    leased += [watcher] if watcher is not None else []
    if (period := site.training.period) is not None:
        leased.append(Scheduler(site.training, period=period, config=config, told=sys.stderr))
    return leased


def name_leases(wires: Wires, couriers: Sequence[Courier], leased: Sequence[Worker]) -> set[str]:
    """What gateways of a cluster share out, beside cases."""
    names = {SCRUBBING, *(c.lease for c in couriers), *(worker_lease(w.name) for w in leased)}
    return names | {lease for wire in wires for lease in wire.bound.values()}


def _translators(wires: Wires) -> Mapping[str, Translate]:
    return {w.name: w.translate for w in wires} | {importing.WIRE: importing.translate_row}
