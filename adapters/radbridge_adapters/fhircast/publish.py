"""Our drafts as content at somebody else's hub, resent by the rules of IHE IRA (RAD-X9) and FHIRcast 3.0 (2.6)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog

from radbridge.case import Case, CaseKey
from radbridge.draft import DraftImpression
from radbridge.errors import DeliveryError, DeliveryFailed, DeliveryMoot, DeliveryRefused, JournalError
from radbridge_adapters.fhircast.client import HubClient
from radbridge_adapters.fhircast.content import Change
from radbridge_adapters.fhircast.dialect import Dialect
from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.hub import make_update
from radbridge_adapters.fhircast.sink import UpdateComposer, read_payload

log = structlog.get_logger(__name__)

RESEND_S = 10.0
"""After a SyncError for an event of ours, no sooner (2.6)."""
_AGAIN = frozenset((401, 408, 425, 429))
_CONFLICT = 409
_MOST_SENT = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """The last event that put or took away a resource of ours."""

    id: str
    timestamp: str
    key: CaseKey
    changes: Sequence[Change] = field(repr=False)


class ClientSink:
    """A foreign hub's session as a destination; a `radbridge.wire.Sink`."""

    def __init__(self, client: HubClient, composer: UpdateComposer, dialect: Dialect) -> None:
        self._client = client
        self._composer = composer
        self._dialect = dialect
        self._tries: dict[str, int] = {}
        self._published: dict[str, Published] = {}
        self._resending: set[asyncio.Task[None]] = set()
        client.on_refusal = self._refused

    @property
    def name(self) -> str:
        """The hub's name in the site's file."""
        return self._client.name

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The update that puts the draft."""
        return self._composer.compose(case, draft)

    def compose_withdrawal(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The update that takes it away."""
        return self._composer.compose_withdrawal(case, draft)

    async def deliver(self, control_id: str, payload: bytes) -> str:
        """Publish it where the report is open.

        Without an answer the next try has the same event id; after an error the context is asked for and the next try
        has a new one. Raises DeliveryMoot, DeliveryFailed, DeliveryRefused.
        """
        key, changes = read_payload(payload)
        try:
            return await self._publish(control_id, key, changes)
        except (CastFault, JournalError) as error:
            raise DeliveryFailed(self.name, str(error)) from None

    async def _publish(self, control_id: str, key: CaseKey, changes: Sequence[Change], timestamp: str = "") -> str:
        if not self._client.connected:
            raise DeliveryFailed(self.name, "not subscribed at the hub", sent=False)
        for _ in range(2):
            status = await self._try(control_id, key, changes, timestamp)
            if 200 <= status < 300:
                return str(status)
            self._tries[control_id] = self._tries.pop(control_id, 0) + 1
            await self._client.refresh()
            if status != _CONFLICT:
                break
        if status < 500 and status not in _AGAIN and self._client.is_suspended(key):
            raise DeliveryMoot(self.name, "another report is before this one, and the hub takes nothing for it now")
        if status == _CONFLICT or status in _AGAIN or status >= 500:
            raise DeliveryFailed(self.name, f"the hub answered {status}")
        raise DeliveryRefused(self.name, f"the hub answered {status}")

    async def _try(self, control_id: str, key: CaseKey, changes: Sequence[Change], timestamp: str) -> int:
        about = self._client.find(key)
        if about is None:
            raise DeliveryMoot(self.name, "nobody has the report open")
        wanted = [c for c in changes if c.resource is not None or c.reference in about.content]
        for change in changes:
            self._published.pop(change.reference, None)
        if not wanted:
            return 200
        tries = self._tries.get(control_id, 0)
        event = make_update(about, f"{control_id}-{tries}" if tries else control_id, wanted, self._dialect)
        event = replace(event, timestamp=timestamp or event.timestamp)
        reply = await self._client.post(event)
        for change in wanted:
            published = Published(id=event.id, timestamp=event.timestamp, key=key, changes=changes)
            self._published[change.reference] = published
        self._forget()
        return reply.status

    def _forget(self) -> None:
        for held in (self._published, self._tries):
            while len(held) > _MOST_SENT:
                held.pop(next(iter(held)))

    def _refused(self, event_id: str) -> None:
        """Somebody didn't follow an event of ours: it is sent again if it is still the last word on its resource."""
        published = next((p for p in self._published.values() if p.id == event_id), None)
        if published is not None:
            task = asyncio.create_task(self._resend(published))
            self._resending.add(task)
            task.add_done_callback(self._resending.discard)

    async def _resend(self, published: Published) -> None:
        await asyncio.sleep(RESEND_S)
        if published not in self._published.values():
            return
        try:
            await self._client.refresh()
            about = self._client.find(published.key)
            lost = about is not None and any(c.resource != about.content.get(c.reference) for c in published.changes)
            if lost:
                self._tries[published.id] = 1
                await self._publish(published.id, published.key, published.changes, published.timestamp)
        except (DeliveryError, CastFault, JournalError) as error:
            log.warning("event not sent again", destination=self.name, reason=str(error))

    async def ping(self) -> None:
        """Raises DeliveryFailed when the hub doesn't answer."""
        await self._client.ping()

    async def close(self) -> None:
        """Stop resending, close every connection."""
        for task in tuple(self._resending):
            task.cancel()
        await asyncio.gather(*self._resending, return_exceptions=True)
        await self._client.close()
