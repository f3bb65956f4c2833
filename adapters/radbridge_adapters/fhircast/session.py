"""A hub's session: what is open under one topic, and what an event makes of it. No socket, no clock, no store.

A session is a value. `take` gives the session after an event, or raises CastFault and nothing has happened; whoever
drives it commits that session before it counts (2.10: a rejected request changes nothing at all).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from radbridge_adapters.fhircast.content import Content, apply_changes, collect, read_changes
from radbridge_adapters.fhircast.dialect import Dialect
from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.message import EventMessage, Resource, anchor_key

REMEMBERED = 256
"""Event ids that are known as seen: whoever got no answer sends the same id again."""
MOST_OPEN = 16
"""Contexts open at once; one more closes the one opened first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Open:
    """An anchor context that was opened and not closed."""

    type: str
    id: str
    version: str
    opened: EventMessage = field(repr=False)
    """The `-open`, as it was distributed."""
    context: Sequence[Mapping[str, Any]] = field(repr=False)
    """Its items with what updates told of them."""
    content: Content = field(default_factory=dict, repr=False)

    def resource(self, key: str) -> Resource | None:
        """The resource of the context item `key`."""
        found = next((item.get("resource") for item in self.context if item.get("key") == key), None)
        return found if isinstance(found, Mapping) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """The contexts open under one topic, in the order of opening: the last is the current one."""

    contexts: tuple[Open, ...] = ()
    seen: tuple[str, ...] = ()

    @property
    def current(self) -> Open | None:
        """The context opened last."""
        return self.contexts[-1] if self.contexts else None

    def find(self, anchor: tuple[str, str]) -> Open | None:
        """The open context of this anchor."""
        return next((c for c in self.contexts if (c.type, c.id) == anchor), None)

    def latest(self) -> list[Open]:
        """The context opened last of each type: what a new subscriber is told (2.4)."""
        return list({c.type: c for c in self.contexts}.values())

    def describe(self) -> dict[str, Any]:
        """The answer to "get current context" (2.9)."""
        current = self.current
        if current is None:
            return {"context.type": "", "context": []}
        content = {"key": "content", "resource": collect(current.content, current.version)}
        return {
            "context.type": current.type,
            "context.versionId": current.version,
            "context": [*current.context, content],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What an event came to."""

    session: Session
    event: EventMessage
    """To be distributed."""
    about: Open | None = None
    """The context it was about, as it is now; for a close, as it was."""
    is_new: bool = True
    """False for an id that was seen before: no effect, the same answer."""


def take(session: Session, event: EventMessage, *, version: str, dialect: Dialect) -> Step:
    """The step that `event` asks for. `version` is the new `context.versionId`, should there be one.

    Raises CastFault: 409 for what isn't open or has another version, 400, 413.
    """
    if event.id in session.seen:
        return Step(session=session, event=event, is_new=False)
    anchor = event.anchor
    after = replace(session, seen=(*session.seen, event.id)[-REMEMBERED:])
    match event.name.verb if anchor[0] else "":
        case "open":
            return _open(after, event.versioned(version), anchor)
        case "update":
            return _update(after, event, anchor, version, dialect)
        case "select":
            return Step(session=after, event=event, about=_require(after, anchor))
        case "close":
            rest = tuple(c for c in after.contexts if (c.type, c.id) != anchor)
            return Step(session=replace(after, contexts=rest), event=event, about=after.find(anchor))
    return Step(session=after, event=event)


def _open(session: Session, event: EventMessage, anchor: tuple[str, str]) -> Step:
    """Opening what is open already begins it anew: a reader who opens a report has nothing shared yet (2.10)."""
    others = tuple(c for c in session.contexts if (c.type, c.id) != anchor)
    opened = Open(type=anchor[0], id=anchor[1], version=event.version, opened=event, context=tuple(event.context))
    return Step(session=replace(session, contexts=(*others, opened)[-MOST_OPEN:]), event=event, about=opened)


def _update(session: Session, event: EventMessage, anchor: tuple[str, str], version: str, dialect: Dialect) -> Step:
    known = _require(session, anchor)
    if not event.version and dialect.needs_version:
        raise CastFault(400, "no_version", "an update must carry context.versionId", where="context.versionId")
    if event.version not in ("", known.version):
        raise CastFault(
            409, "version", "context.versionId isn't the current one; get the context and try again",
            where="context.versionId",
        )  # fmt: skip
    changes = read_changes(event.item("updates"), post_is_put=dialect.post_is_put)
    changed = replace(
        known,
        version=version,
        context=_merge(known, event),
        content=apply_changes(known.content, changes),
    )
    contexts = tuple(changed if c is known else c for c in session.contexts)
    event = event.versioned(version, known.version)
    return Step(session=replace(session, contexts=contexts), event=event, about=changed)


def _require(session: Session, anchor: tuple[str, str]) -> Open:
    found = session.find(anchor)
    if found is None:
        raise CastFault(409, "not_open", f"this {anchor[0]} isn't open", where=anchor_key(anchor[0]))
    return found


def _merge(known: Open, event: EventMessage) -> tuple[Mapping[str, Any], ...]:
    """The context's items with the attributes that an update tells of them (3.6.3: `report`, `patient`, `study`)."""
    told = {
        (item.get("key"), resource.get("id")): resource
        for item in event.context
        if isinstance(resource := item.get("resource"), Mapping) and item.get("key") != "updates"
    }
    return tuple(_told(item, told) for item in known.context)


def _told(item: Mapping[str, Any], told: Mapping[tuple[Any, Any], Resource]) -> Mapping[str, Any]:
    resource = item.get("resource")
    news = told.get((item.get("key"), resource.get("id"))) if isinstance(resource, Mapping) else None
    return item if news is None or not isinstance(resource, Mapping) else {**item, "resource": {**resource, **news}}
