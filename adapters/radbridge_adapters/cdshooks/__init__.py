"""The CDS Hooks wire: drafts as cards, and what became of them. `docs/reference/cds-hooks.md` says how to call it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from starlette.middleware.cors import CORSMiddleware

from radbridge.config import Site
from radbridge.wire import AsgiApp, Desk, Mount, Wire
from radbridge_adapters.cdshooks.app import WIRE, CdsApp
from radbridge_adapters.cdshooks.services import PATH
from radbridge_adapters.resources.case_names import CaseNames
from radbridge_adapters.resources.draft import Composer
from radbridge_adapters.resources.translate import SnapshotTranslator

__all__ = ["wire"]


def wire(site: Site, desk: Desk) -> Wire:
    """The wire that `site.cdshooks` describes."""
    translate = SnapshotTranslator.of(site)
    composer = Composer(CaseNames(desk.store), ttl=timedelta(hours=site.fhir.draft_ttl_h))
    service = CdsApp(site, desk, translate, composer)
    if not site.cdshooks.enabled:
        return Wire(name=WIRE, translate=translate)
    mount = Mount(path=PATH, app=_for_pages(service, site.fhir.cors_origins))
    return Wire(name=WIRE, translate=translate, mounts=(mount,), pings=service.pings)


def _for_pages(app: AsgiApp, origins: Sequence[str]) -> AsgiApp:
    """CDS clients that run in a browser are let in from the origins that the site names, and from no other."""
    if not origins:
        return app
    headers = ("Authorization", "Content-Type")
    return CORSMiddleware(app, allow_origins=origins, allow_methods=("GET", "POST"), allow_headers=headers)
