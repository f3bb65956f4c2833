"""Which Subscriptions there are, and which of them a stored version is an event for: in its own transaction."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import structlog
from sqlalchemy import Connection, select

from radbridge.config import FhirSubscriptions
from radbridge.journal.schema import resource_versions, resources
from radbridge_adapters.fhir.store.find import fits
from radbridge_adapters.fhir.store.record import Version
from radbridge_adapters.fhir.store.write import Stored
from radbridge_adapters.fhir.subscriptions import events
from radbridge_adapters.fhir.subscriptions.plan import Plan, Status, read_plan
from radbridge_adapters.resources.json import read_json
from radbridge_adapters.resources.outcome import Issues

log = structlog.get_logger(__name__)

TYPE = "Subscription"
_COUNTING = frozenset({Status.ACTIVE, Status.ERROR})
"""States in which events count; those of one in error wait for its endpoint."""
_SELECT = (
    select(resource_versions.c.document)
    .join(resources, resources.c.seq == resource_versions.c.seq)
    .where(resources.c.type == TYPE)
    .order_by(resources.c.seq)
)


class Register:
    """The Subscriptions as the journal's writer thread knows them. `touched` is what its transactions concerned."""

    def __init__(self, settings: FhirSubscriptions) -> None:
        self._settings = settings
        self._plans: Sequence[Plan] | None = None
        self.count = 0
        """Subscriptions that weren't off when they were last read."""
        self.touched: deque[str] = deque()

    def hook(self, conn: Connection, stored: Sequence[Stored]) -> None:
        """A `store.write.Hook`: adds the events of these versions."""
        if self._plans is None:
            self._plans = live(conn, self._settings)
            self.count = len(self._plans)
        for plan in self._plans:
            seqs = [one.seq for one in stored if plan.status in _COUNTING and is_event(conn, plan, one.version)]
            if seqs:
                events.add(conn, plan.id, seqs, stored[0].version.at)
                self.touched.append(plan.id)
        changed = [one.version.id for one in stored if one.version.type == TYPE]
        if changed:
            self._plans = None  # read again by the next transaction: this one may yet be rolled back
            self.touched.extend(changed)


def live(conn: Connection, settings: FhirSubscriptions) -> list[Plan]:
    """Every Subscription that isn't off; the oldest ones, where there are more than the site allows."""
    found: list[Plan] = []
    for raw in conn.execute(_SELECT).scalars():
        if len(found) == settings.max:
            break
        document = read_json(raw)
        if document["status"] == Status.OFF:
            continue
        try:
            found.append(read_plan(document, settings))
        except Issues as fault:  # the site's file has changed since: it names this host no more
            log.warning("a subscription can't be kept", subscription=document["id"], where=fault.where)
    return found


def is_event(conn: Connection, plan: Plan, version: Version) -> bool:
    """Whether the subscription is to be told of this version. Ours of a draft only fit the topic."""
    if version.type != plan.type or (plan.topic and version.origin != "draft"):
        return False
    return plan.query is None or fits(conn, plan.query, version.id)
