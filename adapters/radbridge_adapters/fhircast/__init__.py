"""The FHIRcast wire: a hub of its own and clients of others. `docs/reference/fhircast.md` says what each does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from radbridge.config import FhircastHub, FhirDestination, Site
from radbridge.errors import ConfigError
from radbridge.flow.holding import worker_lease
from radbridge.wire import Desk, Mount, Wire
from radbridge_adapters.fhircast.app import PATH, HubApp
from radbridge_adapters.fhircast.client import HubClient
from radbridge_adapters.fhircast.dialect import Dialect, find_dialect
from radbridge_adapters.fhircast.hub import LEASE, WIRE, Hub
from radbridge_adapters.fhircast.observation import Observer
from radbridge_adapters.fhircast.publish import ClientSink
from radbridge_adapters.fhircast.reading import ContextReader
from radbridge_adapters.fhircast.signoff import SignoffFetcher
from radbridge_adapters.fhircast.sink import HubSink, UpdateComposer
from radbridge_adapters.fhircast.translate import RecordTranslator
from radbridge_adapters.resources.case_names import CaseNames
from radbridge_adapters.resources.draft import Composer

__all__ = ["wire"]


def wire(site: Site, desk: Desk) -> Wire:
    """The wire that `site.fhircast` describes. Raises ConfigError for a dialect that nobody knows."""
    settings = site.fhircast
    dialect, translate = find_dialect(settings.dialect), RecordTranslator(site)
    resources = Composer(CaseNames(desk.store), ttl=timedelta(hours=site.fhir.draft_ttl_h))
    reader, composer = ContextReader(site), UpdateComposer(Observer(resources))
    signoffs = SignoffFetcher(desk, translate, _report_servers(site))
    hub = Hub(desk, dialect=dialect, reader=reader, max_topics=settings.max_topics, on_outcome=signoffs.expect)
    clients = [
        HubClient(
            one,
            desk,
            dialect=_dialect_of(one),
            reader=reader,
            topics=hub.topics,
            on_outcome=signoffs.expect,
        )
        for one in settings.hubs
    ]
    others = [
        ClientSink(client, composer, _dialect_of(one)) for client, one in zip(clients, settings.hubs, strict=True)
    ]
    return Wire(
        name=WIRE,
        translate=translate,
        sinks=(*((HubSink(WIRE, hub, composer),) if settings.enabled else ()), *others),
        mounts=(Mount(path=PATH, app=HubApp(site, desk, hub, dialect)),) if settings.enabled else (),
        workers=(signoffs,),
        leased=clients,
        bound={WIRE: LEASE} | {client.name: worker_lease(client.name) for client in clients},
    )


def _report_servers(site: Site) -> dict[str, FhirDestination]:
    """By hub, empty for our own: the FHIR server that has the texts of reports. Raises ConfigError."""
    known = {destination.name: destination for destination in site.fhir.destinations}
    named = {"": site.fhircast.report_server} | {hub.name: hub.report_server for hub in site.fhircast.hubs}
    missing = sorted({name for name in named.values() if name and name not in known})
    if missing:
        raise ConfigError([f"fhircast: report_server: no FHIR destination is named {name!r}" for name in missing])
    return {hub: known[name] for hub, name in named.items() if name}


def _dialect_of(hub: FhircastHub) -> Dialect:
    """A hub's dialect, with the FHIR version that the site says it speaks."""
    dialect = find_dialect(hub.dialect)
    return replace(dialect, fhir="R5") if hub.fhir_version == "R5" else dialect
