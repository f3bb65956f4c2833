"""The audit trail for an audit repository: DICOM PS3.15 A.5.1 messages by syslog over TLS (IHE ITI-20, RFC 5425)."""

from __future__ import annotations

from collections.abc import Sequence

from radbridge.config import Site, split_address
from radbridge.errors import MessageFault
from radbridge.events import Event
from radbridge.wire import Desk, Ping, Wire
from radbridge_adapters.security.tls import client_context
from radbridge_adapters.syslog.forwarder import Forwarder, Repository

__all__ = ["wire"]

WIRE = "syslog"


def wire(site: Site, desk: Desk) -> Wire:
    """The repository that `site.audit.syslog` names; nothing where it names none."""
    settings = site.audit.syslog
    if settings.address is None:
        return Wire(name=WIRE, translate=_translate)
    host, port = split_address(settings.address)
    repository = Repository(
        host=host,
        port=port,
        tls=client_context("audit.syslog", settings) if settings.tls else None,
        server_name=settings.server_name or host,
        format=settings.format,
    )
    return Wire(
        name=WIRE,
        translate=_translate,
        leased=[Forwarder(desk.store, repository)],
        pings=[Ping(name="audit repository", ask=repository.ping)],
    )


def _translate(raw: bytes) -> Sequence[Event]:
    """Nothing comes in by this wire."""
    raise MessageFault("not_taken", "the syslog wire takes nothing in")
