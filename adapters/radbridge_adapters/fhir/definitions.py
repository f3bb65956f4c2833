"""Shows our own definitions to whoever meets them in a draft: no login, for they tell of no patient."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from radbridge_adapters.fhir.capability import OperationDefinition
from radbridge_adapters.fhir.request import Answer, Request
from radbridge_adapters.fhir.route import Route
from radbridge_adapters.fhir.subscriptions.plan import BACKPORT
from radbridge_adapters.resources.codes import CANONICAL
from radbridge_adapters.resources.definitions import definitions
from radbridge_adapters.resources.outcome import refuse

BACKPORT_OPERATIONS = "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition"
OPERATIONS = (
    OperationDefinition(
        type="DiagnosticReport",
        name="draft-impression",
        definition=f"{CANONICAL}/OperationDefinition/draft-impression",
    ),
    OperationDefinition(
        type="Subscription", name="status", definition=f"{BACKPORT_OPERATIONS}/backport-subscription-status"
    ),
    OperationDefinition(
        type="Subscription", name="events", definition=f"{BACKPORT_OPERATIONS}/backport-subscription-events"
    ),
)
PROFILES = {
    kind: (f"{CANONICAL}/StructureDefinition/{id}",)
    for kind, id in (
        ("DiagnosticReport", "draft-report"),
        ("Observation", "draft-impression"),
        ("Provenance", "draft-provenance"),
    )
} | {"Subscription": (f"{BACKPORT}/backport-subscription",)}
"""What this server writes itself, or takes in a special way, by type."""

_KINDS = ("StructureDefinition", "OperationDefinition", "Basic")
PREFIX = "definition-"

ROUTES: Sequence[Route] = tuple(
    Route(method="GET", path=f"{kind}/{{id}}", interaction=f"{PREFIX}{kind}", is_public=True) for kind in _KINDS
)


def interactions() -> Mapping[str, Callable[[Request], Awaitable[Answer]]]:
    """By the names of the routes."""
    return {route.interaction: _show for route in ROUTES}


async def _show(request: Request) -> Answer:
    kind = request.interaction.removeprefix(PREFIX)
    found = definitions().get(f"{kind}/{request.id}")
    if found is None:
        raise refuse("not-found", "there is no such definition", status=404)
    return Answer(document=found)
