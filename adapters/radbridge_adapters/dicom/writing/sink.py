"""Destinations for drafts by C-STORE: a Basic Text SR each, and a rejection note that takes one back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from radbridge.case import Case, CaseKey
from radbridge.config import Dicom, DicomSr
from radbridge.draft import DraftImpression
from radbridge.errors import DeliveryFailed, DeliveryRefused
from radbridge.journal import deliveries
from radbridge.journal.schema import Purpose
from radbridge.wire import Store
from radbridge_adapters.dicom.encoding.part10 import read_part10
from radbridge_adapters.dicom.network.scu import Scu
from radbridge_adapters.dicom.writing.compose import Composer
from radbridge_adapters.dicom.writing.document import find_study_uid
from radbridge_adapters.dicom.writing.evidence import find_instances
from radbridge_adapters.dicom.writing.withdraw import compose_note


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What a range of C-STORE statuses means for a delivery."""

    first: int
    last: int
    taken: bool
    again: bool
    meaning: str


STATUSES: Final = (
    Said(first=0x0000, last=0x0000, taken=True, again=False, meaning="stored"),
    Said(first=0x0001, last=0x0001, taken=True, again=False, meaning="stored, with a warning"),
    Said(first=0x0107, last=0x0107, taken=True, again=False, meaning="stored, with a warning"),
    Said(first=0x0110, last=0x0110, taken=False, again=True, meaning="processing failure"),
    Said(first=0x0111, last=0x0111, taken=True, again=False, meaning="stored before: an earlier answer was lost"),
    Said(first=0x0116, last=0x0116, taken=True, again=False, meaning="stored, with a warning"),
    Said(first=0x0117, last=0x0117, taken=False, again=False, meaning="invalid object instance"),
    Said(first=0x0122, last=0x0122, taken=False, again=False, meaning="SOP class not supported"),
    Said(first=0x0124, last=0x0124, taken=False, again=False, meaning="not authorized"),
    Said(first=0x0213, last=0x0213, taken=False, again=True, meaning="resource limitation"),
    Said(first=0xA700, last=0xA7FF, taken=False, again=True, meaning="out of resources"),
    Said(first=0xA800, last=0xA8FF, taken=False, again=False, meaning="SOP class not supported"),
    Said(first=0xA900, last=0xA9FF, taken=False, again=False, meaning="data set doesn't match the SOP class"),
    Said(first=0xB000, last=0xBFFF, taken=True, again=False, meaning="stored, with a warning"),
    Said(first=0xC000, last=0xCFFF, taken=False, again=False, meaning="cannot understand"),
)
"""PS3.4 B.2.3 and PS3.7 9.1.1.1.9. Any other status is tried again."""
_UNKNOWN = Said(first=0, last=0xFFFF, taken=False, again=True, meaning="a status that C-STORE doesn't know")


def say(status: int) -> Said:
    """What a status means."""
    return next((one for one in STATUSES if one.first <= status <= one.last), _UNKNOWN)


class SrSink:
    """Composes for one destination and stores there; a `radbridge.wire.Sink`."""

    def __init__(self, settings: Dicom, destination: DicomSr, store: Store) -> None:
        self._name = destination.name
        self._timeout_s = destination.timeout_s
        self._ae_title = settings.ae_title
        self._store = store
        self._scu = Scu.of(settings, destination.peer)
        self._composer = Composer(
            destination=destination.name, ae_title=settings.ae_title, zone=ZoneInfo(settings.timezone)
        )

    @property
    def name(self) -> str:
        """The destination's name in the site's file."""
        return self._name

    def compose(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The draft as an unverified Basic Text SR that names what is known of the study."""
        instances = self._store.read_now(partial(find_instances, study_uid=find_study_uid(case)))
        return self._composer.compose(case, draft, instances)

    def compose_withdrawal(self, case: Case, draft: DraftImpression, control_id: str) -> bytes:
        """The note that rejects the SR as it was sent: the case may name another patient or study by now."""
        sent = self._store.read_now(partial(_find_sent, key=case.key, draft_id=draft.id, destination=self._name))
        document = read_part10(sent or self._composer.compose(case, draft))
        return compose_note(document, control_id, self._ae_title, datetime.now(UTC))

    async def deliver(self, control_id: str, payload: bytes) -> str:
        """Store it and return the status (`0000`).

        Raises DeliveryFailed (out of resources, no answer, no peer) or DeliveryRefused (not understood, not supported).
        """
        status = await self._scu.store(payload, timeout_s=self._timeout_s)
        said = say(status)
        if not said.taken:
            error = DeliveryFailed if said.again else DeliveryRefused
            raise error(self._name, f"the peer answered {status:04X}: {said.meaning}")
        return f"{status:04X}"

    async def ping(self) -> None:
        """Raises DeliveryFailed when the peer doesn't answer a C-ECHO."""
        try:
            await self._scu.echo(timeout_s=self._timeout_s)
        except DeliveryRefused as error:
            raise DeliveryFailed(self._name, str(error)) from None

    async def close(self) -> None:
        """Nothing to close: each delivery is an association of its own."""


def sr_sinks(settings: Dicom, store: Store) -> tuple[SrSink, ...]:
    """A sink for each of `dicom.destinations`."""
    return tuple(SrSink(settings, destination, store) for destination in settings.destinations)


def max_attempts(settings: Dicom) -> Mapping[str, int]:
    """For `radbridge.wire.Wire`."""
    return {destination.name: destination.max_attempts for destination in settings.destinations}


def _find_sent(conn: Connection, *, key: CaseKey, draft_id: str, destination: str) -> bytes:
    """The SR that went there; empty when none did."""
    for delivery in deliveries.of_case(conn, key):
        if (delivery.draft_id, delivery.destination, delivery.purpose) == (draft_id, destination, Purpose.DRAFT):
            return delivery.payload
    return b""
