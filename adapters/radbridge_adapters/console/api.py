"""`/api/v1`: what operators do, as JSON. Every route names the permission that it needs."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from radbridge.access import Actor, Permission, Role, check_name, permissions_of
from radbridge.journal import accounts, api_keys, audit, leases, passwords
from radbridge.journal.accounts import Account
from radbridge.journal.api_keys import ApiKey
from radbridge.wire import Store
from radbridge_adapters.console.access import Door, asks

router = APIRouter(prefix="/api/v1")
VIA = "api"

_Name = Annotated[str, AfterValidator(check_name)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NewAccount(_Body):
    """An account to make."""

    name: _Name
    kind: str = Field(default="person", pattern="^(person|system)$")
    roles: tuple[Role, ...]
    password: str = Field(repr=False, min_length=passwords.MIN_CHARS, max_length=passwords.MAX_CHARS)


class AccountChange(_Body):
    """What an account gets instead."""

    roles: tuple[Role, ...] | None = None
    disabled: bool | None = None


class NewKey(_Body):
    """A key to make."""

    account: _Name
    roles: tuple[Role, ...] = ()
    scopes: tuple[str, ...] = ()
    days: int = Field(default=365, ge=1, le=3650)


class _View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class AccountView(_View):
    """An account, without its secrets."""

    name: str
    kind: str
    roles: list[Role]
    issuer: str
    disabled: bool
    locked_until: datetime | None
    created_at: datetime


class KeyView(_View):
    """A key, without its secret."""

    id: str
    account: str
    roles: list[Role]
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None


def store_of(request: Request) -> Store:
    """The journal's database."""
    store: Store = request.app.state.store
    return store


Journaled = Annotated[Store, Depends(store_of)]
Administrator = Annotated[Actor, asks(Permission.ADMINISTER)]
Looker = Annotated[Actor, asks(Permission.SEE_HEALTH)]


@router.get("/me")
async def me(request: Request, actor: Looker) -> dict[str, object]:
    """Who asks, and what they may; with a session, also the word to send as `x-csrf-token` with every change."""
    door: Door = request.app.state.door
    told: dict[str, object] = {
        "name": actor.name,
        "roles": sorted(actor.roles),
        "via": actor.via,
        "permissions": sorted(permissions_of(actor.roles)),
    }
    return told | ({"csrf": word} if (word := await door.word_of(request)) else {})


@router.get("/gateways")
async def gateways(actor: Looker, store: Journaled) -> list[dict[str, object]]:
    """The gateways of the cluster, and what each has to itself."""
    found = await store.read(leases.members)
    return [
        {
            "name": one.name,
            "version": one.version,
            "address": one.address,
            "started_at": one.started_at,
            "seen_at": one.seen_at,
            "holds": one.holds,
        }
        for one in found
    ]


@router.get("/audit/head")
async def audit_head(actor: Annotated[Actor, asks(Permission.SEE_AUDIT)], store: Journaled) -> dict[str, object]:
    """The end of the audit trail's chain: keep it outside, and `radbridge audit verify --head` compares."""
    found = await store.read(audit.head)
    return {"seq": found.seq, "hash": found.hash.hex(), "head": str(found)}


@router.get("/accounts", response_model=list[AccountView])
async def list_accounts(actor: Administrator, store: Journaled) -> list[Account]:
    """All accounts."""
    return await store.read(accounts.everybody)


@router.post("/accounts", status_code=201)
async def add_account(wanted: NewAccount, actor: Administrator, store: Journaled) -> None:
    """Make an account. 409 where there is one of that name, or it would have no role."""
    secret = await asyncio.to_thread(passwords.seal, wanted.password)
    change = accounts.Change(
        name=wanted.name,
        actor=actor.known_as,
        via=VIA,
        roles=frozenset(wanted.roles),
        secret=secret,
        kind=wanted.kind,
    )
    await store.write_first(accounts.add, change)


@router.patch("/accounts/{name}", status_code=204)
async def change_account(name: str, wanted: AccountChange, actor: Administrator, store: Journaled) -> None:
    """Give an account other roles, close it, or open it again. 409 for roles that its provider gives."""
    change = accounts.Change(
        name=name,
        actor=actor.known_as,
        via=VIA,
        roles=None if wanted.roles is None else frozenset(wanted.roles),
        disabled=wanted.disabled,
    )
    await store.write_first(accounts.alter, change)


@router.get("/apikeys", response_model=list[KeyView])
async def list_keys(actor: Administrator, store: Journaled) -> list[ApiKey]:
    """All keys."""
    return await store.read(api_keys.everything)


@router.post("/apikeys", status_code=201)
async def make_key(wanted: NewKey, actor: Administrator, store: Journaled) -> dict[str, str]:
    """Make a key; this answer is the only place that shows it. 409 for one that would open nothing."""
    key = await store.write_first(
        api_keys.make,
        api_keys.Wanted(
            account=wanted.account,
            actor=actor.known_as,
            via=VIA,
            roles=frozenset(wanted.roles),
            scopes=wanted.scopes,
            lives=timedelta(days=wanted.days),
        ),
    )
    return {"key": key}


@router.delete("/apikeys/{id}", status_code=204)
async def revoke_key(id: str, actor: Administrator, store: Journaled) -> None:
    """End a key."""
    await store.write_first(api_keys.revoke, api_keys.Revocation(id=id, actor=actor.known_as, via=VIA))
