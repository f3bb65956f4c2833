"""Who asks, beside the holders of SMART tokens: an API key, a login session, a certificate."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from radbridge.access import Actor, Permission, Role
from radbridge.config import Site
from radbridge.journal import api_keys, sessions
from radbridge.wire import Store
from radbridge_adapters.resources.outcome import refuse
from radbridge_adapters.security import cookies
from radbridge_adapters.security.http import bearer_of
from radbridge_adapters.security.rate import take_turn
from radbridge_adapters.security.tls import PEER_PIN


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Somebody who has proved who they are."""

    actor: Actor
    scopes: tuple[str, ...]
    """SMART scopes: those of their roles, or of the key."""
    hidden: frozenset[str] = frozenset()
    """Types that those scopes don't reach."""


def of_roles(actor: Actor) -> Identity:
    """Somebody with what their roles may do. The audit trail is its own permission."""
    hidden = frozenset() if actor.may(Permission.SEE_AUDIT) else frozenset(("AuditEvent",))
    return Identity(actor=actor, scopes=scopes_of(actor.roles), hidden=hidden)


def scopes_of(roles: frozenset[Role]) -> tuple[str, ...]:
    """What roles may do on the clinical wires: look. Who is to write there has a key with scopes, or a SMART client."""
    sees = roles & {Role.VIEWER, Role.OPERATOR, Role.ADMIN}
    return ("system/*.rs", "fhircast/*.read") if sees else ()


class Identities:
    """Finds out who sends a request."""

    def __init__(self, site: Site, store: Store) -> None:
        self._site = site
        self._store = store
        self._certificates = {known.pin: known for known in site.access.certificates}

    async def find(self, scope: MutableMapping[str, Any]) -> Identity | None:
        """Who sends it; None where they show nothing of this kind.

        Raises Issues: 401 for a key that doesn't hold, 403 for a session's cookie that another page sends, 429 for
        somebody who asks too often.
        """
        known = await self._find(scope)
        if known is not None:
            take_turn(scope, known.actor.name)
        return known

    async def _find(self, scope: MutableMapping[str, Any]) -> Identity | None:
        token = bearer_of(scope)
        if token.startswith(api_keys.PREFIX):
            return await self._by_key(token)
        if known := self._certificates.get(scope.get("state", {}).get(PEER_PIN, "")):
            roles = frozenset(known.roles)
            actor = Actor(name=known.name, kind="system", roles=roles, via="certificate")
            return of_roles(actor)
        if (cookie := cookies.read(self._site, scope)) and (session := await self.session_of(cookie)):
            if not cookies.is_ours(self._site, scope, session.csrf):
                raise refuse("forbidden", f"a session's request needs its {cookies.CSRF} and our origin", status=403)
            actor = Actor(name=session.account, kind="person", roles=session.roles, via=session.via)
            return of_roles(actor)
        return None

    async def session_of(self, cookie: str) -> sessions.Session | None:
        """The session of a cookie, if it holds; from now on it is idle anew."""
        idle_s = self._site.access.idle_s
        session = await self._store.read(lambda conn: sessions.check(conn, cookie, idle_s=idle_s))
        if session is not None and session.is_stale(idle_s):
            await self._store.write_first(sessions.note_seen, session.digest)
        return session

    async def _by_key(self, text: str) -> Identity:
        key = await self._store.read(lambda conn: api_keys.check(conn, text))
        if key is None:
            raise refuse("login", "the API key doesn't hold; `radbridge apikeys list` shows those that do", status=401)
        if api_keys.is_stale(key):
            await self._store.write(api_keys.note_use, key.id)
        actor = Actor(name=key.account, kind="system", roles=key.roles, via="api_key")
        return Identity(actor=actor, scopes=key.scopes) if key.scopes else of_roles(actor)
