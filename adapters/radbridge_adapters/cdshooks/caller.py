"""Who calls a service: a JWT that the client signed for this very URL, an API key, a certificate or a session.

CDS Hooks 2.0, "Trusting CDS Clients".
"""

from __future__ import annotations

import structlog

from radbridge.access import Actor
from radbridge.config import Site
from radbridge.scopes import parse_scopes
from radbridge.wire import Desk, Scope
from radbridge_adapters.resources.outcome import refuse
from radbridge_adapters.security.assertion import AssertionFault, verify
from radbridge_adapters.security.guard import ANYBODY, Client, is_private, refuse_strangers
from radbridge_adapters.security.http import bearer_of
from radbridge_adapters.security.identity import Identities
from radbridge_adapters.security.jwks import KeySource
from radbridge_adapters.security.places import places_of
from radbridge_adapters.security.rate import take_turn
from radbridge_adapters.security.replay import spend

log = structlog.get_logger(__name__)


class Callers:
    """Knows the clients that the site trusts; where it names none, everybody on this machine is let in."""

    def __init__(self, site: Site, desk: Desk) -> None:
        self._site = site
        self._store = desk.store
        self._issuers = site.cdshooks.client_issuers
        self._keys = KeySource({}, {name: one.jwks_uri for name, one in self._issuers.items()}, self._issuers)
        self._identities = Identities(site, desk.store)
        self.pings = self._keys.pings

    async def identify(self, scope: Scope, service: str) -> Actor:
        """Who calls this service. Raises Issues (401, 403, 429)."""
        if (known := await self._identities.find(scope)) is not None:
            client = Client(id=known.actor.name, scopes=parse_scopes(known.scopes), actor=known.actor)
            client.require("DiagnosticReport", "r")
            return known.actor
        site = self._site
        if not self._issuers and not site.access.required and (site.fhir.open or is_private(site)):
            refuse_strangers(self._site, scope)
            return ANYBODY
        url = places_of(self._site, scope).service(service)
        try:
            assertion = await verify(
                bearer_of(scope),
                audiences=(url, f"{url}/feedback"),
                find_keys=self._keys.find,
                own_subject=False,
            )
            if not await self._store.write_first(spend, assertion):
                raise AssertionFault("replayed", "the token was used before")
        except AssertionFault as fault:
            log.warning("a caller's token was refused", reason=fault.reason)
            raise refuse(
                "login", "a JWT is needed, signed for this service by a client it trusts", status=401
            ) from None
        caller = Actor(name=assertion.issuer, kind="system", via="issuer")
        take_turn(scope, caller.known_as)
        return caller
