"""Subscriptions of our hub: made and ended by form POST, each with an address that nobody can guess (2.4)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from time import monotonic
from urllib.parse import parse_qsl

from radbridge.config import Fhircast
from radbridge.wire import Receive, Send
from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.hub import Hub
from radbridge_adapters.fhircast.link import ENDED, LOST, NORMAL, Link
from radbridge_adapters.fhircast.names import Wanted
from radbridge_adapters.fhircast.subscriber import Limits, Sent, Subscriber

_CONNECT_WITHIN_S = 60.0
"""A subscription that nobody connects to for so long makes room for another."""
_LONGEST_TOPIC = 256
MAX_FIELDS = 64
"""Of a form that subscribes."""
GOING_AWAY = 1001
"""RFC 6455, 7.4.1."""
_FIELDS = frozenset(
    """hub.channel.type hub.mode hub.topic hub.events hub.lease_seconds hub.channel.endpoint endpoint
    subscriber.name""".split()
)


def parse_form(body: bytes) -> dict[str, str]:
    """The form's fields that matter, each at most once. Raises CastFault 400."""
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise CastFault(400, "form", "the body is no form in UTF-8") from None
    known = [(name, value) for name, value in pairs if name in _FIELDS]
    if len({name for name, _ in known}) != len(known):
        raise CastFault(400, "twice", "each parameter may stand once")
    form = dict(known)
    if form.get("hub.channel.type") != "websocket":
        raise CastFault(400, "channel", "hub.channel.type must be websocket", where="hub.channel.type")
    if not 0 < len(form.get("hub.topic", "")) <= _LONGEST_TOPIC:
        problem = f"hub.topic must have 1 to {_LONGEST_TOPIC} characters"
        raise CastFault(400, "topic", problem, where="hub.topic")
    return form


class Subscriptions:
    """All subscriptions of this process, by the digest of their address."""

    def __init__(self, settings: Fhircast, hub: Hub) -> None:
        self._settings = settings
        self._hub = hub
        self._limits = Limits(
            queue=settings.queue,
            queue_bytes=settings.queue_bytes,
            ack_s=settings.ack_timeout_s,
            heartbeat_s=settings.heartbeat_s,
        )
        self._links: dict[str, Link] = {}
        self._made: dict[str, float] = {}

    async def subscribe(self, form: Mapping[str, str], wanted: Wanted) -> str:
        """Make or change a subscription: the token its address ends in. Raises CastFault."""
        lease_s = self._lease(form.get("hub.lease_seconds", ""))
        if endpoint := form.get("hub.channel.endpoint"):
            link = self._find(endpoint, form["hub.topic"])
            known = link.subscriber.wanted
            link.subscriber.wanted = wanted
            link.subscriber.lease_s, link.subscriber.until = lease_s, monotonic() + lease_s
            link.confirm()
            for event in self._hub.opened(link):
                if event.name not in known:
                    link.offer(event)
            return endpoint.rpartition("/")[2]
        self._make_room()
        token = secrets.token_urlsafe(32)
        subscriber = Subscriber(
            topic=form["hub.topic"],
            digest=await self._hub.topics.digest(form["hub.topic"]),
            wanted=wanted,
            name=form.get("subscriber.name", "")[:100],
            until=monotonic() + lease_s,
            lease_s=lease_s,
            limits=self._limits,
        )
        link = Link(subscriber, on_refusal=self._hub.refused, on_loss=self._lose)
        await self._hub.join(link)
        self._links[_digest(token)] = link
        self._made[_digest(token)] = monotonic()
        return token

    def unsubscribe(self, form: Mapping[str, str]) -> str:
        """End a subscription, whatever `hub.events` says: there is no half of it. Raises CastFault 404.

        Medplum's client calls the address `endpoint`.
        """
        endpoint = form.get("hub.channel.endpoint") or form.get("endpoint", "")
        link = self._find(endpoint, form["hub.topic"])
        link.end("unsubscribed")
        self._drop(_digest(endpoint.rpartition("/")[2]))
        return endpoint

    def find(self, token: str) -> Link | None:
        """The subscription whose address ends in `token`, while its lease runs."""
        link = self._links.get(_digest(token))
        return link if link is not None and link.subscriber.until > monotonic() else None

    async def serve(self, token: str, receive: Receive, send: Send) -> None:
        """Serve the socket of a subscription to its end; whoever comes to no subscription's address is turned away.

        A subscription outlives a socket that broke: its subscriber may connect again until the lease is over.
        """
        link = self.find(token)
        if link is None:
            await send({"type": "websocket.close", "code": ENDED})
        elif await link.serve(receive, send, lambda: self._hub.opened(link)) == NORMAL:
            self._drop(_digest(token))

    def end_all(self) -> None:
        """The hub is another gateway's now: subscribers subscribe there."""
        for link in list(self._links.values()):
            link.end("another gateway has the hub now", GOING_AWAY)
        for key in list(self._links):
            self._drop(key)

    def _lose(self, link: Link, why: str, sent: Sent | None) -> None:
        """A subscriber that can't follow is unsubscribed (2.5); one whose connection broke may come back."""
        if why != LOST:
            for key in [key for key, known in self._links.items() if known is link]:
                self._drop(key)
        self._hub.lost(link, why, sent)

    def _find(self, endpoint: str, topic: str) -> Link:
        link = self.find(endpoint.strip().rpartition("/")[2])
        if link is None or link.subscriber.topic != topic:
            raise CastFault(404, "no_subscription", "there is no such subscription; subscribe anew")
        return link

    def _lease(self, asked: str) -> int:
        longest = int(self._settings.lease_s)
        if not asked:
            return longest
        if not asked.isascii() or not asked.isdigit() or not int(asked[:10]):
            raise CastFault(400, "lease", "hub.lease_seconds must be a positive integer", where="hub.lease_seconds")
        return min(longest, int(asked[:10]))

    def _make_room(self) -> None:
        now = monotonic()
        for key, link in list(self._links.items()):
            forgotten = not link.connected and self._made[key] + _CONNECT_WITHIN_S < now
            if link.subscriber.until <= now or (forgotten and len(self._links) >= self._settings.max_subscribers):
                self._drop(key)
        if len(self._links) >= self._settings.max_subscribers:
            raise CastFault(503, "too_many_subscribers", "this hub takes no more subscribers")

    def _drop(self, key: str) -> None:
        link = self._links.pop(key, None)
        self._made.pop(key, None)
        if link is not None:
            self._hub.leave(link)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
