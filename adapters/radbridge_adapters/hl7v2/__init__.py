"""The HL7 v2 wire: MLLP in, MLLP out. `docs/reference/hl7v2.md` says what is taken in, answered and sent."""

from __future__ import annotations

from collections.abc import Callable

from radbridge.config import Hl7v2, Site
from radbridge.wire import Desk, Wire
from radbridge_adapters.hl7v2.accession import AccessionPlaces, parse_places
from radbridge_adapters.hl7v2.ack import AckWriter
from radbridge_adapters.hl7v2.client import Ack, MllpClient, read_control_id
from radbridge_adapters.hl7v2.compose import require_valid, specimen
from radbridge_adapters.hl7v2.files import read_files
from radbridge_adapters.hl7v2.listener import MllpListener
from radbridge_adapters.hl7v2.reception import WIRE, Reception
from radbridge_adapters.hl7v2.sink import MllpSink
from radbridge_adapters.hl7v2.translate import Translator

__all__ = ["Ack", "MllpClient", "read_control_id", "wire"]


def wire(site: Site, desk: Desk) -> Wire:
    """The wire that `site.hl7v2` describes. Raises ConfigError when what it would send is no valid HL7."""
    settings = site.hl7v2
    places = _places(settings)
    writer = AckWriter(settings.application, settings.facility, original=settings.ack_mode == "original")
    reception = Reception(writer, places, settings.default_charset, batch_max_messages=settings.batch_max_messages)
    sinks = [MllpSink(settings, one, on_stray=_counter(desk, one.name)) for one in settings.destinations]
    for sink in sinks:
        require_valid(sink.compose(*specimen(), "SPECIMEN"), sink.name)
    return Wire(
        name=WIRE,
        translate=Translator(settings, places),
        listeners=(MllpListener(settings, reception, desk),),
        sinks=tuple(sinks),
        max_attempts={d.name: d.max_attempts for d in settings.destinations},
        files=read_files(reception),
    )


def _counter(desk: Desk, destination: str) -> Callable[[], None]:
    """Counts an answer of a destination that nobody waits for."""
    return lambda: desk.meter.answered_late(destination)


def _places(settings: Hl7v2) -> AccessionPlaces:
    return AccessionPlaces(
        places=parse_places(settings.accession_from), issuer=settings.issuer, issuers=settings.issuers
    )
