"""The DICOM wire: study context in, structured drafts out. `docs/reference/dicom.md` is its conformance statement."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from radbridge.config import Site
from radbridge.wire import Desk, Wire
from radbridge_adapters.dicom.asking.enquirer import workers
from radbridge_adapters.dicom.asking.peers import pings
from radbridge_adapters.dicom.incoming.mapping import WANTED_TAGS
from radbridge_adapters.dicom.incoming.reception import WIRE
from radbridge_adapters.dicom.incoming.storage import JournalServices
from radbridge_adapters.dicom.incoming.translate import Translator
from radbridge_adapters.dicom.network.listener import DicomListener
from radbridge_adapters.dicom.writing.sink import max_attempts, sr_sinks

__all__ = ["wire"]


def wire(site: Site, desk: Desk) -> Wire:
    """The wire that `site.dicom` describes. Raises ConfigError when a certificate can't be used."""
    settings = site.dicom
    listener = DicomListener(settings, JournalServices(settings, desk), WANTED_TAGS)
    return Wire(
        name=WIRE,
        translate=Translator(settings, ZoneInfo(settings.timezone)),
        listeners=(listener,) if settings.enabled else (),
        sinks=sr_sinks(settings, desk.store),
        leased=workers(settings, desk),
        max_attempts=max_attempts(settings),
        pings=pings(settings),
    )
