"""What a route of the console asks of its caller: `actor: Actor = asks(Permission.OPERATE)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import Depends, Request, Response

from radbridge.access import Actor, Permission, Role
from radbridge.config import Site
from radbridge.errors import AccessDenied
from radbridge.wire import Store
from radbridge_adapters.resources.outcome import refuse
from radbridge_adapters.security import cookies
from radbridge_adapters.security.guard import is_private, refuse_strangers
from radbridge_adapters.security.identity import Identities

ANYBODY = Actor(name="anonymous", kind="person", roles=frozenset((Role.VIEWER,)), via="console")
"""Who asks on this machine without a login: they may look, and change nothing."""


class Door:
    """Knows who sends a request to the console."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site = site
        self._identities = Identities(site, store)

    @property
    def is_open(self) -> bool:
        """Whether looking needs no login: where the FHIR server asks for none either, and on this machine alone."""
        site = self._site
        return site.http.is_loopback and is_private(site) and not site.fhir.clients

    async def word_of(self, request: Request) -> str:
        """The word that the session's page has to send with whatever changes something; empty without a session."""
        cookie = cookies.read(self._site, request.scope)
        session = await self._identities.session_of(cookie) if cookie else None
        return session.csrf if session else ""

    async def actor_of(self, request: Request) -> Actor:
        """Who asks. Raises Issues (401, 403)."""
        known = await self._identities.find(request.scope)
        if known is not None:
            return known.actor
        if not self.is_open:
            raise refuse("login", "log in at /auth/login, or send an API key", status=401)
        refuse_strangers(self._site, request.scope)
        return ANYBODY


@dataclass(frozen=True, slots=True)
class Asking:
    """A dependency that lets in only who has the permission."""

    permission: Permission

    async def __call__(self, request: Request, response: Response) -> Actor:
        """Who asks, if they may. Raises Issues (401, 403) and AccessDenied."""
        door: Door = request.app.state.door
        actor = await door.actor_of(request)
        response.headers["cache-control"] = "no-store"  # what one person may see, the next at this screen may not
        if not actor.may(self.permission):
            raise AccessDenied(self.permission)
        return actor


def asks(permission: Permission) -> Any:
    """The dependency of a route that needs this permission."""
    return Depends(Asking(permission))
