"""`/api/v1/loras`: which LoRA drafts for whom, and changing it, as `radbridge loras` does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from radbridge.access import Actor, Permission
from radbridge.config import Site
from radbridge.errors import LoraRefused, NotThere
from radbridge.journal import lora_events
from radbridge.journal.lora_events import LoraEvent
from radbridge.loras import Act, Wanted, carry_out, named_owner
from radbridge.registry import AliasNames, LoraRegistry
from radbridge_adapters.console.access import asks
from radbridge_adapters.console.api import VIA, Journaled

router = APIRouter(prefix="/api/v1/loras")


class Change(BaseModel):
    """Which version, where one is chosen, and why; the reason is kept, so it names no patient."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: str = Field(default="", pattern="^(v[1-9][0-9]{0,8}(-[0-9a-f]{12})?)?$")
    """`v7`, for `promote` and `challenge`."""
    reason: str = Field(default="", max_length=200)
    force: bool = False
    """Promote also what is for another base than the champion."""


class Standing(BaseModel):
    """Whose versions there are, and which of them draft."""

    owner: str
    champion: str
    challenger: str
    previous: str
    versions: list[str]
    problem: str = ""


class History(Standing):
    """The same, with what was done."""

    events: list[LoraEvent]


def registry_of(request: Request) -> LoraRegistry:
    """The site's. Raises NotThere."""
    site: Site = request.app.state.site
    if site.registry is None:
        raise NotThere(["the site has no LoRA registry: set model.loras (or training.registry)"])
    return LoraRegistry(site.registry)


Registry = Annotated[LoraRegistry, Depends(registry_of)]
Trainer = Annotated[Actor, asks(Permission.TRAIN)]


async def wanted_of(kind: str, id: str, act: Act, said: Change, actor: Trainer) -> Wanted:
    """What is asked for, by whom."""
    name = f"{kind}/{id}@{said.version}" if said.version else f"{kind}/{id}"
    return Wanted(act=act, name=name, actor=actor.known_as, via=VIA, reason=said.reason, force=said.force)


@router.get("")
async def list_loras(actor: Trainer, loras: Registry) -> list[Standing]:
    """Every owner. Their files aren't read again: `radbridge loras show` does that."""
    return await asyncio.to_thread(lambda: [_standing(loras, owner) for owner in loras.owners()])


@router.get("/{kind}/{id}")
async def show(kind: str, id: str, actor: Trainer, loras: Registry, store: Journaled) -> History:
    """One owner's versions, and what was done with them."""
    owner = named_owner(f"{kind}/{id}")
    standing = await asyncio.to_thread(_standing, loras, owner)
    if not standing.versions:
        raise NotThere(["there is no LoRA of that name; GET /api/v1/loras lists them"])
    events = await store.read(lambda conn: lora_events.of_owner(conn, owner))
    return History(**standing.model_dump(), events=events)


@router.post("/{kind}/{id}/{act}")
async def change(wanted: Annotated[Wanted, Depends(wanted_of)], loras: Registry, store: Journaled) -> Standing:
    """From the next draft on. 409 where that can't be; the answer says why."""
    loop = asyncio.get_running_loop()

    def record(operation: Callable[[Connection, Sequence[Any]], Any], item: object) -> None:
        asyncio.run_coroutine_threadsafe(store.write_first(operation, item), loop).result()

    done = await asyncio.to_thread(carry_out, loras, wanted, record)
    return await asyncio.to_thread(_standing, loras, done.owner)


def _standing(loras: LoraRegistry, owner: str) -> Standing:
    problem = ""
    try:
        names = loras.alias_names(owner)
    except LoraRefused as refusal:
        names, problem = AliasNames(), refusal.reason
    return Standing(
        owner=owner,
        champion=names.champion,
        challenger=names.challenger,
        previous=names.previous,
        versions=loras.folders(owner),
        problem=problem,
    )
