"""Where drafts go as FHIR: our own store, and hospitals' servers."""

from __future__ import annotations

from datetime import timedelta

from radbridge.config import Site
from radbridge.wire import Desk, Sink
from radbridge_adapters.fhir.sinks.local import LocalSink
from radbridge_adapters.fhir.sinks.server import FhirServerSink
from radbridge_adapters.fhir.store.write import Vault
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.case_names import CaseNames
from radbridge_adapters.resources.draft import Composer
from radbridge_adapters.rest import make_client

__all__ = ["make_composer", "make_sinks"]


def make_composer(site: Site, desk: Desk) -> Composer:
    """What writes drafts as this site's resources."""
    return Composer(CaseNames(desk.store), ttl=timedelta(hours=site.fhir.draft_ttl_h))


def make_sinks(site: Site, desk: Desk, vault: Vault | None) -> list[Sink]:
    """The sinks that `site.fhir` describes; `vault` is that of our own server, None where it is off."""
    composer, accessions = make_composer(site, desk), Accessions.of(site)
    own: list[Sink] = [LocalSink(desk.store, vault, composer, accessions)] if vault else []
    return own + [
        FhirServerSink(make_client(one), composer, accessions, in_one=one.mode == "transaction")
        for one in site.fhir.destinations
    ]
