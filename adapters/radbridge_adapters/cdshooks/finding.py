"""The report that a `report-draft` call is about: in its context, prefetched, or asked of a server that we know."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from radbridge.config import FhirDestination
from radbridge.errors import DeliveryError
from radbridge_adapters.cdshooks.hook import HookRequest, lacking
from radbridge_adapters.cdshooks.services import REPORT
from radbridge_adapters.resources.outcome import Issues
from radbridge_adapters.resources.references import find_references
from radbridge_adapters.resources.snapshot import Snapshot
from radbridge_adapters.resources.validate import validate
from radbridge_adapters.rest import FhirClient, make_client

log = structlog.get_logger(__name__)

TYPE = "DiagnosticReport"
_MAX_READS = 32
"""Resources that one report may refer to and have read."""


class ReportFinder:
    """Finds reports. `servers` are those of the site's file: no other is ever called, whatever a request names."""

    def __init__(self, servers: Sequence[FhirDestination]) -> None:
        self._servers = {server.url.rstrip("/"): server for server in servers}

    async def find(self, request: HookRequest) -> Snapshot | None:
        """The report and what came with it; None where the client says that there is none. Raises Issues (412)."""
        given = request.context.get(REPORT)
        if given is not None:
            return Snapshot(given, request.prefetched())
        if request.prefetch.get(REPORT, ...) is None:
            return None
        id = str(request.context.get("reportId", "")).removeprefix(f"{TYPE}/")
        came = list(request.prefetched())
        report = _choose(came, id)
        if report is None and request.fhir_server in self._servers and id:
            came += await self._ask(request.fhir_server, id)
            report = _choose(came, id)
        if report is None:
            raise lacking("the report came neither in the context nor prefetched, and no server that we know has it")
        return Snapshot(report, came)

    async def _ask(self, url: str, id: str) -> list[dict[str, Any]]:
        """The report and what it refers to, each read by itself: not every server knows `_include`."""
        client = make_client(self._servers[url])
        try:
            report = await _read(client, f"{TYPE}/{id}")
            wanted = [
                ref["reference"] for _, ref in find_references(report, "") if not ref["reference"].startswith("#")
            ]
            unique = list(dict.fromkeys(wanted))[:_MAX_READS]
            found = await asyncio.gather(*(_read(client, reference) for reference in unique))
        finally:
            await client.close()
        return [resource for resource in (report, *found) if resource is not None]


async def _read(client: FhirClient, reference: str) -> dict[str, Any] | None:
    """None where the server doesn't give it, or what it gives is no FHIR."""
    try:
        document = client.demand(await client.read(reference)).document
        validate(document)
    except (DeliveryError, Issues) as error:
        log.warning("a resource could not be fetched", destination=client.name, reason=error)
        return None
    return document


def _choose(resources: Sequence[Mapping[str, Any]], id: str) -> Mapping[str, Any] | None:
    found = [one for one in resources if one["resourceType"] == TYPE]
    return next((one for one in found if not id or one.get("id") == id), None)
