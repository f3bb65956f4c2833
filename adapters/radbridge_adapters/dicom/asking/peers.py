"""The peers of the site's file: who is asked about what, and whether they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from pydicom.dataset import Dataset

from radbridge.config import Dicom, DicomQuery, Dicomweb
from radbridge.flow.delivery import backoff
from radbridge.wire import Ping
from radbridge_adapters.dicom.asking.cache import Asking
from radbridge_adapters.dicom.asking.priors_query import Archive, DicomArchive, Priors
from radbridge_adapters.dicom.asking.web import NAME, WebArchive
from radbridge_adapters.dicom.asking.worklist import Worklist
from radbridge_adapters.dicom.network.scu import Scu

PING_S = 4.0
"""Less than `radbridge check` waits: so its row says what went wrong."""


def make_worklist(settings: Dicom) -> Worklist | None:
    """Who is asked about orders. Raises ConfigError."""
    if (query := settings.worklist) is None:
        return None
    asking = _asking(query.peer, query)
    return Worklist(settings, Scu.of(settings, query.peer), timeout_s=query.timeout_s, asking=asking)


def make_priors(settings: Dicom) -> Priors | None:
    """Who is asked about earlier studies, the PACS first. Raises ConfigError."""
    archives: list[Archive] = []
    if (query := settings.pacs) is not None:
        archives.append(
            DicomArchive(
                Scu.of(settings, query.peer),
                timeout_s=query.timeout_s,
                asking=_asking(query.peer, query),
                charset=settings.default_charset,
            )
        )
    if settings.dicomweb is not None:
        archives.append(_make_web(settings.dicomweb))
    return Priors(settings, archives) if archives else None


def pings(settings: Dicom) -> Sequence[Ping]:
    """A C-ECHO to every peer that has an address, and a question to the DICOMweb server. Raises ConfigError."""
    echoes = [
        Ping(name=f"dicom peer {peer.name}", ask=partial(Scu.of(settings, peer.name).echo, timeout_s=PING_S))
        for peer in settings.peers
        if peer.address is not None
    ]
    if settings.dicomweb is not None:
        echoes.append(Ping(name=NAME, ask=_make_web(settings.dicomweb).ping))
    return echoes


def _asking(name: str, query: DicomQuery | Dicomweb) -> Asking[Dataset]:
    return Asking(name=name, retries=query.retries, cache_s=query.cache_s, pause=_pause)


def _make_web(web: Dicomweb) -> WebArchive:
    return WebArchive(web, asking=_asking(NAME, web))


async def _pause(attempt: int) -> None:
    await asyncio.sleep(backoff(attempt - 1))
