"""The gauges: every few seconds, how much waits and for how long, what is dead, how full the disk is.

They are of the journal, so every gateway of a cluster says the same of them; what is summed over gateways is wrong.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from sqlalchemy import Connection

from radbridge.errors import JournalError
from radbridge.journal import Journal, cursors, gauges
from radbridge.journal.tables.states import DeliveryState, MessageState
from radbridge.metrics import Metrics

log = structlog.get_logger(__name__)

LOOK_S = 5.0
KINDS = (
    MessageState.REJECTED,
    MessageState.FAILED,
    MessageState.QUARANTINED,
    DeliveryState.DEAD,
    DeliveryState.REFUSED,
)
"""What waits for a person. A rejected message's sender was told so; it may still be worth a look."""
_DEAD_EVERY = 6
"""Looks: what is dead may be many rows, and nobody is in a hurry about it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What one look found."""

    queues: list[gauges.Queue]
    places: list[gauges.Place]
    trail: gauges.Trail
    purged_at: datetime | None


class Gauging:
    """Reads the gauges until cancelled; a worker of every gateway."""

    name = "gauging"

    def __init__(
        self, journal: Journal, metrics: Metrics, *, disk: Path | None, tells_syslog: bool, purges: bool = False
    ) -> None:
        """`disk` is a folder on the journal's disk; None where that is another machine's.

        `tells_syslog` says whether a repository is to get the trail, `purges` whether anything is to be purged: else
        nothing of it is behind.
        """
        self._journal = journal
        self._metrics = metrics
        self._disk = disk
        self._tells_syslog = tells_syslog
        self._purges = purges
        self._told: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Look, and look again. A journal that doesn't answer leaves the gauges as they were."""
        looks = 0
        if not self._journal.is_shared:  # otherwise the holder of leases knows
            self._metrics.gateways_alive.set(1)
        while True:
            try:
                self._tell(await self._journal.read(_look))
                if looks % _DEAD_EVERY == 0:
                    self._tell_dead(await self._journal.read(gauges.dead))
            except JournalError:
                log.exception("journal unavailable", retry_in_s=LOOK_S)
            self._tell_disk()
            looks += 1
            await asyncio.sleep(LOOK_S)

    def _tell(self, look: Look) -> None:
        now, metrics = datetime.now(UTC), self._metrics
        found = {(queue.name, queue.destination) for queue in look.queues}
        for name, destination in self._told - found:  # nothing waits there any more
            metrics.queue_depth.labels(name, destination).set(0)
            metrics.queue_age.labels(name, destination).set(0)
        self._told |= found
        for queue in look.queues:
            metrics.queue_depth.labels(queue.name, queue.destination).set(queue.depth)
            metrics.queue_age.labels(queue.name, queue.destination).set(_age_s(queue.since, now))
        for place in look.places:
            metrics.paused.labels(place.name).set(place.is_paused)
            metrics.breaker_open.labels(place.name).set(place.open_until is not None and place.open_until > now)
        metrics.audit_pending.set(look.trail.pending)
        metrics.audit_pending_age.set(_age_s(look.trail.since, now))
        metrics.audit_seq.set(look.trail.head)
        if self._tells_syslog:
            metrics.syslog_lag.set(look.trail.head - look.trail.told)
            metrics.syslog_age.set(_age_s(look.trail.untold_since, now))
        if self._purges:
            metrics.purge_age.set(_age_s(look.purged_at, now))

    def _tell_dead(self, counts: dict[str, int]) -> None:
        for kind in KINDS:
            self._metrics.dead.labels(kind).set(counts.get(kind, 0))

    def _tell_disk(self) -> None:
        if self._disk is None:
            return
        try:
            usage = shutil.disk_usage(self._disk)
        except OSError:  # the journal says what is wrong with its folder
            return
        self._metrics.disk_free.set(usage.free)
        self._metrics.disk_size.set(usage.total)


def _look(conn: Connection) -> Look:
    return Look(
        queues=gauges.queues(conn),
        places=gauges.places(conn),
        trail=gauges.trail(conn),
        purged_at=cursors.last(conn, cursors.PURGE),
    )


def _age_s(since: datetime | None, now: datetime) -> float:
    """How long it has waited; nothing of what isn't due yet."""
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
