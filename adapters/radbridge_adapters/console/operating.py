"""`/api/v1/destinations` and `/api/v1/dead`: what `radbridge destinations` and `radbridge dead` do, as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from radbridge.access import Actor, Permission
from radbridge.audit import Note, What
from radbridge.config import Site
from radbridge.journal import audit, dead, destinations
from radbridge.journal.dead import Act, Dead
from radbridge.journal.destinations import Destination, DestinationState, Order
from radbridge.wire import Operation, Status
from radbridge_adapters.console.access import asks
from radbridge_adapters.console.api import VIA

router = APIRouter(prefix="/api/v1")
MOST = 1000
"""Dead letters of one answer."""


class Why(BaseModel):
    """Why somebody does it; it goes into the audit trail, so it names no patient."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    reason: str = Field(default="", max_length=200)
    force: bool = False
    """A dead letter is tried again even where a newer message of its case was applied."""


class Place(BaseModel):
    """A destination."""

    name: str
    state: str
    reason: str
    actor: str
    changed_at: datetime | None
    waiting: int
    failures: int
    open_until: datetime | None


class Letter(BaseModel):
    """A dead letter, without what is in it."""

    id: str
    state: str
    kind: str
    where: str
    accession: str
    at: datetime
    tries: int
    reason: str


def status_of(request: Request) -> Status:
    """The gateway."""
    status: Status = request.app.state.status
    return status


def site_of(request: Request) -> Site:
    """The site's file."""
    site: Site = request.app.state.site
    return site


TheSite = Annotated[Site, Depends(site_of)]
Gateway = Annotated[Status, Depends(status_of)]
Operator = Annotated[Actor, asks(Permission.OPERATE)]
Looker = Annotated[Actor, asks(Permission.SEE_HEALTH)]
Reader = Annotated[Actor, asks(Permission.SEE_CASES)]


@router.get("/destinations")
async def list_destinations(actor: Looker, gateway: Gateway, site: TheSite) -> list[Place]:
    """The site's destinations, and those of which the journal knows."""
    found, waiting = await gateway.store.read(lambda conn: (destinations.known(conn), destinations.waiting(conn)))
    known = {one.name: one for one in found}
    return [
        _place(known.get(name, Destination(name=name)), waiting.get(name, 0))
        for name in sorted({*site.deliveries, *known, *waiting})
    ]


@router.post("/destinations/{name}/pause", status_code=204)
async def pause(name: str, why: Why, actor: Operator, gateway: Gateway, site: TheSite) -> None:
    """Send nothing there until it is resumed."""
    await _order(DestinationState.PAUSED, why, name=name, actor=actor, gateway=gateway, site=site)


@router.post("/destinations/{name}/resume", status_code=204)
async def resume(name: str, why: Why, actor: Operator, gateway: Gateway, site: TheSite) -> None:
    """Send what waits."""
    await _order(DestinationState.ACTIVE, why, name=name, actor=actor, gateway=gateway, site=site)


@router.get("/dead")
async def list_dead(actor: Reader, gateway: Gateway) -> list[Letter]:
    """What waits for a person, newest first."""
    found = await gateway.store.read(lambda conn: dead.everything(conn, MOST))
    note = Note(at=datetime.now(UTC), what=What.VIEWED, actor=actor.known_as, via=VIA, detail={"route": "dead"})
    await gateway.store.write_first(audit.record_all, dead.noted(note, found))
    return [_letter(one) for one in found]


@router.post("/dead/{id}/retry")
async def retry(id: str, why: Why, actor: Operator, gateway: Gateway) -> Letter:
    """Have it applied or sent once more. 409 where that can't be; the answer says why."""
    return await _act(dead.retry, id, why, actor, gateway)


@router.post("/dead/{id}/drop")
async def drop(id: str, why: Why, actor: Operator, gateway: Gateway) -> Letter:
    """Give it up: it is kept, and waits for nobody any more."""
    return await _act(dead.drop, id, why, actor, gateway)


async def _order(state: DestinationState, why: Why, *, name: str, actor: Actor, gateway: Status, site: Site) -> None:
    among = frozenset(site.deliveries)
    order = Order(name=name, state=state, actor=actor.known_as, via=VIA, reason=why.reason, among=among)
    await gateway.store.write_first(destinations.order, order)
    _ring(gateway, "destination", f"deliver:{name}")


async def _act(operation: Operation[Act, Dead], id: str, why: Why, actor: Actor, gateway: Status) -> Letter:
    act = Act(id=id, actor=actor.known_as, via=VIA, reason=why.reason, force=why.force)
    found = await gateway.store.write_first(operation, act)
    _ring(gateway, "apply", f"deliver:{found.where}")
    return _letter(found)


def _ring(gateway: Status, *topics: str) -> None:
    for topic in topics:
        gateway.bells.ring(topic)


def _place(one: Destination, waiting: int) -> Place:
    return Place(
        name=one.name,
        state=one.state,
        reason=one.reason,
        actor=one.actor,
        changed_at=one.changed_at,
        waiting=waiting,
        failures=one.health.failures,
        open_until=one.health.open_until,
    )


def _letter(one: Dead) -> Letter:
    return Letter(
        id=one.id,
        state=one.state,
        kind=one.kind,
        where=one.where,
        accession=one.accession,
        at=one.at,
        tries=one.tries,
        reason=one.reason,
    )
