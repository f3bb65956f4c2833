"""A destination for drafts over MLLP."""

from __future__ import annotations

from radbridge.case import Case
from radbridge.config import Hl7Destination, Hl7v2, split_address
from radbridge.draft import DraftImpression
from radbridge.errors import DeliveryFailed, DeliveryRefused
from radbridge_adapters.hl7v2.client import MllpClient
from radbridge_adapters.hl7v2.compose import Addressing, Composer, Unverified
from radbridge_adapters.security.tls import client_context

DELIVERED = frozenset({"AA", "CA"})
REFUSED = frozenset({"AR", "CR"})
"""Sending the same bytes again won't help (2.5.1, 2.9.2): an operator has to look. `AE` and `CE` are tried again."""


class MllpSink:
    """Composes for one destination and delivers to it; a `radbridge.wire.Sink`."""

    def __init__(self, settings: Hl7v2, destination: Hl7Destination) -> None:
        host, port = split_address(destination.address)
        self._name = destination.name
        self._client = MllpClient(
            host,
            port,
            destination.ack_timeout_s,
            name=destination.name,
            tls=client_context(f"hl7v2.destinations: {destination.name!r}", destination) if destination.tls else None,
            server_name=destination.server_name,
        )
        self._composer = Composer(
            Addressing(
                application=settings.application,
                facility=settings.facility,
                receiving_application=destination.application,
                receiving_facility=destination.facility,
                status=Unverified(destination.status),
            )
        )

    @property
    def name(self) -> str:
        """The destination's name in the site's file."""
        return self._name

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The draft as an unverified ORU^R01."""
        return self._composer.compose(case, draft, control_id)

    def compose_withdrawal(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The ORU^R01 that deletes the draft's OBX."""
        return self._composer.compose_withdrawal(case, draft, control_id)

    async def deliver(self, control_id: str, payload: bytes) -> str:
        """Send and return MSA-1. Raises DeliveryFailed (`AE`, no answer, no peer) or DeliveryRefused (`AR`)."""
        ack = await self._client.send(payload, control_id)
        if ack.code in DELIVERED:
            return ack.code
        # The peer's own words may quote the message, so only its code is told.
        error = DeliveryRefused if ack.code in REFUSED else DeliveryFailed
        raise error(self._name, f"the peer answered {ack.code if ack.code in _CODES else 'an unknown code'}")

    async def ping(self) -> None:
        """Raises DeliveryFailed when the destination takes no connection."""
        await self._client.ping()

    async def close(self) -> None:
        """Hang up."""
        await self._client.close()


_CODES = DELIVERED | REFUSED | {"AE", "CE"}
