"""A destination for drafts over MLLP."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from radbridge.case import Case
from radbridge.config import Hl7Destination, Hl7v2, split_address
from radbridge.draft import DraftImpression
from radbridge.errors import DeliveryFailed, DeliveryRefused
from radbridge.wire import LanedSink, Sink
from radbridge_adapters.hl7v2.client import MllpClient
from radbridge_adapters.hl7v2.compose import Addressing, Composer, Unverified
from radbridge_adapters.security.tls import client_context

DELIVERED = frozenset({"AA", "CA"})
REFUSED = frozenset({"AR", "CR"})
"""Sending the same bytes again won't help (2.5.1, 2.9.2): an operator has to look. `AE` and `CE` are tried again."""
ASKED = {"either": ("", ""), "accept": ("AL", "NE"), "application": ("AL", "AL")}
"""By a destination's `confirm`: MSH-15 and MSH-16 of what is sent there."""


class MllpSink(LanedSink):
    """Composes for one destination and delivers to it, over one connection or several."""

    def __init__(
        self, settings: Hl7v2, destination: Hl7Destination, *, on_stray: Callable[[], None] = lambda: None
    ) -> None:
        """`on_stray` is called for each answer that nobody waits for."""
        tls = client_context(f"hl7v2.destinations: {destination.name!r}", destination) if destination.tls else None
        host, port = split_address(destination.address)
        self._name = destination.name
        self._connect = partial(
            MllpClient,
            host,
            port,
            destination.ack_timeout_s,
            name=destination.name,
            tls=tls,
            server_name=destination.server_name,
            confirm=destination.confirm,
            on_stray=on_stray,
        )
        self._sessions: dict[int, MllpSession] = {}
        self._composer = Composer(
            Addressing(
                application=settings.application,
                facility=settings.facility,
                receiving_application=destination.application,
                receiving_facility=destination.facility,
                status=Unverified(destination.status),
                acknowledge=ASKED[destination.confirm],
            )
        )

    @property
    def name(self) -> str:
        """The destination's name in the site's file."""
        return self._name

    def session(self, number: int) -> Sink:
        """The same destination over the connection of that number."""
        if number not in self._sessions:
            self._sessions[number] = MllpSession(self, self._connect())
        return self._sessions[number]

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The draft as an unverified ORU^R01."""
        return self._composer.compose(case, draft, control_id)

    def compose_withdrawal(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The ORU^R01 that deletes the draft's OBX."""
        return self._composer.compose_withdrawal(case, draft, control_id)

    async def deliver(self, control_id: str, payload: bytes) -> str:
        """Send over the first connection and return MSA-1. Raises DeliveryFailed or DeliveryRefused."""
        return await self.session(0).deliver(control_id, payload)

    async def ping(self) -> None:
        """Raises DeliveryFailed when the destination takes no connection."""
        await self.session(0).ping()

    async def close(self) -> None:
        """Hang up everywhere."""
        for session in self._sessions.values():
            await session.close()


class MllpSession(Sink):
    """One connection to a destination."""

    def __init__(self, sink: MllpSink, client: MllpClient) -> None:
        self._sink = sink
        self._client = client

    @property
    def name(self) -> str:
        """The destination's name."""
        return self._sink.name

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """As the destination's."""
        return self._sink.compose(case, draft, control_id)

    def compose_withdrawal(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """As the destination's."""
        return self._sink.compose_withdrawal(case, draft, control_id)

    async def deliver(self, control_id: str, payload: bytes) -> str:
        """Send and return MSA-1. Raises DeliveryFailed (`AE`, no answer, no peer) or DeliveryRefused (`AR`)."""
        ack = await self._client.send(payload, control_id)
        if ack.code in DELIVERED:
            return ack.code
        # The peer's own words may quote the message, so only its code is told.
        error = DeliveryRefused if ack.code in REFUSED else DeliveryFailed
        raise error(self.name, f"the peer answered {ack.code if ack.code in _CODES else 'an unknown code'}")

    async def ping(self) -> None:
        """Raises DeliveryFailed when the destination takes no connection."""
        await self._client.ping()

    async def close(self) -> None:
        """Hang up."""
        await self._client.close()


_CODES = DELIVERED | REFUSED | {"AE", "CE"}
