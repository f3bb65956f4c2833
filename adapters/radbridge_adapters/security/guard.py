"""Who asks, and what they may: once the site has clients or `access.required`, every request has to prove it."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from radbridge.access import Actor
from radbridge.config import Site
from radbridge.config.values import is_loopback
from radbridge.journal import secrets
from radbridge.scopes import FHIRCAST, SYSTEM, Scope, narrow, parse_scopes
from radbridge.wire import Desk
from radbridge_adapters.resources.outcome import Issues, refuse
from radbridge_adapters.security.http import bearer_of, header_of
from radbridge_adapters.security.identity import Identities
from radbridge_adapters.security.places import places_of
from radbridge_adapters.security.rate import take_turn
from radbridge_adapters.security.token import TokenMint

SECRET = "access-tokens"  # noqa: S105 - the secret's name
_EVERYTHING = parse_scopes(["system/*.cruds", "fhircast/*.*"])
ANYBODY = Actor(name="anonymous", kind="system")

AsgiScope = MutableMapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """Who asks."""

    id: str
    """As configured; `anonymous` where nobody has to log in."""
    scopes: tuple[Scope, ...] = field(default=_EVERYTHING)
    actor: Actor = ANYBODY
    """Who that is to the audit trail."""
    hidden: frozenset[str] = frozenset()
    """Types that the scopes don't reach though a `*` covers them."""

    @property
    def known_as(self) -> str:
        """What the audit trail calls them; empty where nobody knows who it is."""
        return self.actor.known_as if self.id else ""

    def may(self, resource_type: str, verb: str) -> bool:
        """Whether they may do `verb` (c, r, u, d or s) with this type."""
        return resource_type not in self.hidden and any(
            scope.covers(SYSTEM, resource_type, verb) for scope in self.scopes
        )

    def may_cast(self, event: str, verb: str) -> bool:
        """Whether they may read (`r`) or publish (`w`) this FHIRcast event, in any case of letters."""
        return any(scope.covers(FHIRCAST, event.lower(), verb) for scope in self.scopes)

    def require(self, resource_type: str, verb: str) -> None:
        """Raise Issues (403) unless they may."""
        if not self.may(resource_type, verb):
            raise forbid(f"the token's scopes don't hold system/{resource_type}.{verb}")

    def require_cast(self, event: str, verb: str) -> None:
        """Raise Issues (403) unless they may."""
        if not self.may_cast(event, verb):
            word = {"r": "read", "w": "write"}[verb]
            raise forbid(f"the token's scopes don't hold fhircast/{event}.{word}")


class Guard:
    """Checks requests of every web wire. `await guard.identify(scope)`, then ask the client what it may."""

    def __init__(self, site: Site, desk: Desk) -> None:
        self._site = site
        self._store = desk.store
        self._limits = {client.id: parse_scopes(client.scopes) for client in site.fhir.clients}
        self._identities = Identities(site, desk.store)
        self._secret = b""
        self._making = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether nobody has to log in."""
        site = self._site
        return not self._limits and not site.access.required and (site.fhir.open or is_private(site))

    async def identify(self, scope: AsgiScope) -> Client:
        """Who sends this request.

        Raises Issues: 401 where nobody proves to be anybody, 403 where a web page may be behind it, 429 for a client
        that asks too often.
        """
        if (known := await self._identities.find(scope)) is not None:
            scopes = parse_scopes(known.scopes)
            return Client(id=known.actor.name, scopes=scopes, actor=known.actor, hidden=known.hidden)
        if self.is_open:
            refuse_strangers(self._site, scope)
            return Client(id="anonymous")
        token = bearer_of(scope)
        granted = (await self.mint(scope)).check(token) if token else None
        limit = self._limits.get(granted.client) if granted else None
        if granted is None or limit is None:
            raise refuse("login", "a bearer token that holds is needed; see the SMART discovery document", status=401)
        take_turn(scope, granted.client)
        actor = Actor(name=granted.client, kind="system", via="smart")
        return Client(id=granted.client, scopes=narrow(granted.scopes, limit), actor=actor)

    async def authorize(self, scope: AsgiScope, resource_type: str, verb: str) -> Client:
        """Who sends this request, if they may do `verb` with this type. Raises Issues (401, 403)."""
        client = await self.identify(scope)
        client.require(resource_type, verb)
        return client

    async def mint(self, scope: AsgiScope) -> TokenMint:
        """What issues and checks tokens for the address that this request came to."""
        async with self._making:
            if not self._secret:
                await self._store.write(secrets.make, SECRET)
                self._secret = await self._store.read(lambda conn: secrets.read(conn, SECRET))
        return TokenMint(self._secret, places_of(self._site, scope).base)


def is_private(site: Site) -> bool:
    """Whether a site means this machine alone.

    Who names an address for others, or says who may log in, has a proxy in front: what it hands on comes from here too.
    """
    base, access = site.fhir.base_url, site.access
    is_here = base is None or is_loopback(urlsplit(base).hostname or "")
    return is_here and not (access.required or access.oidc or access.certificates)


def refuse_strangers(site: Site, scope: AsgiScope) -> None:
    """Raise Issues (403) for what a web page sends to an open server on this machine.

    A page may have its own name point here (DNS rebinding: it tells by Host), or send forms and WebSockets here from
    where it is (it tells by Origin). A proxy on this machine tells by what it adds about whom it speaks for.
    """
    if site.fhir.open or not site.http.is_loopback:
        return
    origin = header_of(scope, b"origin")
    is_ours = not origin or origin in site.fhir.cors_origins or _is_loopback(origin.partition("://")[2])
    is_handed_on = any(key == b"forwarded" or key.startswith(b"x-forwarded-") for key, _ in scope["headers"])
    if not is_ours or is_handed_on or not _is_loopback(header_of(scope, b"host")):
        raise forbid("this server is open to its own machine only: name fhir.clients, or set fhir.open = true")


def forbid(message: str) -> Issues:
    """A 403 to raise."""
    return refuse("forbidden", message, status=403)


@lru_cache(1024)
def _is_loopback(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"
