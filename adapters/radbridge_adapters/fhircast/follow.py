"""Somebody else's hub as its subscriber sees it: the session kept in step with its events. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from radbridge_adapters.fhircast.dialect import Dialect
from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.message import EventMessage, Resource, anchor_key, references_of, write_time
from radbridge_adapters.fhircast.names import EventName
from radbridge_adapters.fhircast.session import Open, Session, Step, take

_TAKE_ALL = Dialect(needs_version=False, post_is_put=True)
"""What a hub distributes it has accepted: that isn't ours to judge."""

_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)
"""When a context was opened that was asked for: any `-open` heard afterwards is newer, whatever its sender's clock."""


class Gap(Exception):
    """The hub is further than what was heard of it: its context has to be asked for."""


def follow(session: Session, event: EventMessage) -> Step:
    """The session after an event of its hub. Raises Gap, and CastFault for what can't be read."""
    anchor = event.anchor
    known = session.find(anchor)
    if event.name.verb == "open":
        return _open(session, event, known)
    if event.name.verb == "close" and any(context is not known for context in session.contexts):
        raise Gap  # whether another report is current again, and as what, is the hub's to say
    if event.name.verb != "update":
        return (
            take(session, event, version="", dialect=_TAKE_ALL) if known or not anchor[0] else _nothing(session, event)
        )
    if known is None or event.prior not in ("", known.version):
        raise Gap
    return take(session, replace(event, version=known.version), version=event.version, dialect=_TAKE_ALL)


def _open(session: Session, event: EventMessage, known: Open | None) -> Step:
    """An open of what is known to be open may be told anew to a subscriber (2.4), and begins nothing."""
    current = session.current
    if current is not None and event.at < current.opened.at:
        return _nothing(session, event)  # 2.5: older than what is open
    if known is None:
        return take(session, event, version=event.version, dialect=_TAKE_ALL)
    if event.version == known.version:
        return _nothing(session, event)
    raise Gap


def _nothing(session: Session, event: EventMessage) -> Step:
    return Step(session=session, event=event, is_new=False)


def read_context(document: Mapping[str, Any], seen: tuple[str, ...]) -> Session:
    """The session that a hub's answer to "get current context" describes (2.9). Raises CastFault.

    `seen` are the events known before: they stay known.
    """
    kind = document.get("context.type") or ""
    items = document.get("context")
    if not kind or not items:
        return Session(seen=seen)
    if not isinstance(kind, str) or not isinstance(items, list) or not all(isinstance(i, Mapping) for i in items):
        raise CastFault(400, "context", "the hub's current context can't be read")
    context = [item for item in items if item.get("key") != "content"]
    anchor: Mapping[str, Any] = next((i for i in context if i.get("key") == anchor_key(kind)), {})
    named = next((r for r in references_of(anchor) if r.startswith(f"{kind}/")), "")
    if not named:
        raise CastFault(400, "no_anchor", "the hub's current context has no anchor with an id")
    version = str(document.get("context.versionId") or "")
    opened = EventMessage(
        id=str(uuid.uuid4()),
        timestamp=write_time(_UNKNOWN),
        at=_UNKNOWN,
        topic="",
        name=EventName(resource=kind, verb="open"),
        version=version,
        context=context,
    )
    found = Open(
        type=kind,
        id=named.partition("/")[2],
        version=version,
        opened=opened,
        context=context,
        content=_read_content(items),
    )
    return Session(contexts=(found,), seen=seen)


def _read_content(items: list[Any]) -> dict[str, Resource]:
    bundle = next((item.get("resource") for item in items if item.get("key") == "content"), None)
    entries = bundle.get("entry", []) if isinstance(bundle, Mapping) else []
    resources = [e["resource"] for e in entries if isinstance(e, Mapping) and isinstance(e.get("resource"), Mapping)]
    return {f"{r.get('resourceType')}/{r.get('id')}": r for r in resources}
