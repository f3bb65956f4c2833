"""The FHIR R4 wire: a server of our own at `/fhir`, and hospitals' servers that get the drafts.

`docs/reference/fhir.md` says what is taken in and answered.
"""

from __future__ import annotations

from radbridge.config import Site
from radbridge.wire import Desk, Mount, Wire
from radbridge_adapters.fhir import definitions
from radbridge_adapters.fhir.audit import Audit
from radbridge_adapters.fhir.body import Bodies
from radbridge_adapters.fhir.bundles import Bundles
from radbridge_adapters.fhir.capability import Capabilities
from radbridge_adapters.fhir.execution import Executor
from radbridge_adapters.fhir.http import PREFIX, FhirApp
from radbridge_adapters.fhir.operation import Operation
from radbridge_adapters.fhir.preloading import Preloading
from radbridge_adapters.fhir.reading import Reading
from radbridge_adapters.fhir.route import ROUTES, Router
from radbridge_adapters.fhir.searching import Searching
from radbridge_adapters.fhir.shown import Shown
from radbridge_adapters.fhir.sinks import make_composer, make_sinks
from radbridge_adapters.fhir.store.snapshots import WIRE
from radbridge_adapters.fhir.store.write import Vault
from radbridge_adapters.fhir.subscriptions import Subscriptions
from radbridge_adapters.fhir.writing import Writing
from radbridge_adapters.resources.accession import Accessions
from radbridge_adapters.resources.translate import SnapshotTranslator
from radbridge_adapters.security import Guard, TokenApp

__all__ = ["wire"]


def wire(site: Site, desk: Desk) -> Wire:
    """The wire that `site.fhir` describes."""
    translate = SnapshotTranslator.of(site)
    limits = {d.name: d.max_attempts for d in site.fhir.destinations}
    guard = Guard(site, desk)
    issuing = TokenApp(site, desk, guard)
    tokens = Mount(path="/oauth2", app=issuing)
    if not site.fhir.enabled:
        sinks = make_sinks(site, desk, None)
        return Wire(
            name=WIRE, translate=translate, mounts=(tokens,), sinks=sinks, max_attempts=limits, pings=issuing.pings
        )
    shown = Shown(desk.store)
    subscriptions = Subscriptions(site, desk, on_show=shown.note)
    vault = Vault(desk, Accessions.of(site), hooks=(subscriptions.hook,), on_commit=subscriptions.wake)
    subscriptions.join(vault)
    bodies = Bodies()
    executor = Executor(desk.store, vault, rules={"Subscription": subscriptions.rule})
    reading = Reading(desk.store, masks={"Subscription": subscriptions.mask}, on_show=shown.note)
    writing = Writing(executor, bodies, reading)
    operation = Operation(site, desk, executor=executor, bodies=bodies, composer=make_composer(site, desk), shown=shown)
    router = Router((*ROUTES, *subscriptions.routes, *operation.routes, *definitions.ROUTES))
    searching = Searching(desk.store, reading, site.fhir.page_size)
    shows = {
        "read": reading.read,
        "vread": reading.vread,
        "history": reading.history,
        "search": searching.search,
    }
    bundles = Bundles(
        executor,
        bodies,
        router=router,
        reading=reading,
        reads=shows,
        max_entries=site.fhir.max_bundle_entries,
    )
    capabilities = Capabilities(
        router.routes, is_open=guard.is_open, operations=definitions.OPERATIONS, profiles=definitions.PROFILES
    )
    interactions = {
        **shows,
        "capabilities": capabilities.statement,
        "openapi": capabilities.openapi,
        "smart": capabilities.smart,
        "create": writing.create,
        "update": writing.update,
        "bundle": bundles.carry_out,
        **subscriptions.interactions,
        **operation.interactions,
        **definitions.interactions(),
    }
    audit = Audit(desk.store, vault, Accessions.of(site))
    app = FhirApp(site, desk, guard=guard, interactions=interactions, router=router, audit=audit)
    return Wire(
        name=WIRE,
        translate=translate,
        mounts=(Mount(path=PREFIX, app=app), tokens),
        sinks=make_sinks(site, desk, vault),
        workers=(Preloading(), shown, audit),
        leased=(subscriptions,),
        max_attempts=limits,
        pings=issuing.pings,
    )
