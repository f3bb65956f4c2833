"""Our drafts as content of the sessions in which their report is open: of our own hub's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from radbridge.case import Case, CaseKey
from radbridge.draft import DraftImpression
from radbridge.errors import DeliveryFailed, DeliveryMoot, JournalError
from radbridge_adapters.fhircast.content import Change
from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.hub import Hub
from radbridge_adapters.resources.json import read_json, write_json

Observe = Callable[[Case, DraftImpression], dict[str, Any]]
"""The Observation that a draft is. Its id is the same for every draft of a case, so that a newer one replaces it."""


def write_payload(key: CaseKey, changes: Sequence[Change]) -> bytes:
    """What the outbox keeps of an update: whose report, and what changes. Versions are the hub's, and come later."""
    listed = [{"reference": change.reference, "resource": change.resource} for change in changes]
    return write_json({"accession": key.accession, "issuer": key.issuer, "changes": listed})


def read_payload(payload: bytes) -> tuple[CaseKey, list[Change]]:
    """What `write_payload` wrote."""
    document = read_json(payload)
    key = CaseKey(accession=document["accession"], issuer=document["issuer"])
    return key, [Change(reference=c["reference"], resource=c["resource"]) for c in document["changes"]]


class UpdateComposer:
    """Drafts and withdrawals as updates."""

    def __init__(self, observe: Observe) -> None:
        self._observe = observe

    def compose(self, case: Case, draft: DraftImpression) -> bytes:
        """Put the draft's Observation."""
        resource = self._observe(case, draft)
        return write_payload(case.key, [Change(reference=f"Observation/{resource['id']}", resource=resource)])

    def compose_withdrawal(self, case: Case, draft: DraftImpression) -> bytes:
        """Take it away."""
        resource = self._observe(case, draft)
        return write_payload(case.key, [Change(reference=f"Observation/{resource['id']}", resource=None)])


class HubSink:
    """The sessions of our own hub as a destination; a `radbridge.wire.Sink`."""

    def __init__(self, name: str, hub: Hub, composer: UpdateComposer) -> None:
        self._name = name
        self._hub = hub
        self._composer = composer

    @property
    def name(self) -> str:
        """The destination's name."""
        return self._name

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The update that puts the draft."""
        return self._composer.compose(case, draft)

    def compose_withdrawal(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The update that takes it away."""
        return self._composer.compose_withdrawal(case, draft)

    async def deliver(self, control_id: str, payload: bytes) -> str:
        """Put it into every session that has the report open.

        Raises DeliveryMoot where there is none, DeliveryFailed when the journal or a session can't take it now.
        """
        key, changes = read_payload(payload)
        try:
            sessions = await self._hub.publish(key, control_id, changes)
        except (CastFault, JournalError) as error:
            raise DeliveryFailed(self._name, str(error)) from None
        if not sessions:
            raise DeliveryMoot(self._name, "nobody has the report open")
        return "202"

    async def ping(self) -> None:
        """It is part of this process."""

    async def close(self) -> None:
        """Nothing to close."""
