"""What was done with LoRA versions: published, put on trial, promoted, rolled back; by whom, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import AwareDatetime, Field
from sqlalchemy import Connection, bindparam, insert, select

from radbridge.audit import Note, What
from radbridge.journal import audit
from radbridge.journal.schema import LoraAction, lora_events

_RECORD = insert(lora_events)
_OF_OWNER = select(lora_events).where(lora_events.c.owner == bindparam("of_owner")).order_by(lora_events.c.seq)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraEvent:
    """One change of what may draft."""

    at: AwareDatetime
    owner: str
    """`rad/<id>`, `site/<id>` or `persona/<name>`."""
    version: str
    """The whole name of the version that it was done with; after a rollback, the one that is served again."""
    action: LoraAction
    actor: str
    """Who did it: an account of this machine, or the part of RadBridge that did it by itself."""
    reason: str = ""
    via: Annotated[str, Field(exclude=True)] = ""
    """`cli`, `api`: for the audit trail, and not kept with the event."""


def record(conn: Connection, events: Sequence[LoraEvent]) -> list[None]:
    """Store events; each is in the audit trail too, as a change of what drafts are made by."""
    conn.execute(_RECORD, [{name: value for name, value in asdict(event).items() if name != "via"} for event in events])
    audit.note(conn, [_note(event) for event in events])
    return [None] * len(events)


def _note(event: LoraEvent) -> Note:
    detail = {"lora": event.version, "changed": event.action, "reason": event.reason}
    return Note(at=event.at, what=What.CONFIGURATION, actor=event.actor, via=event.via, detail=detail)


def of_owner(conn: Connection, owner: str) -> list[LoraEvent]:
    """The events of an owner's versions, oldest first."""
    return [
        LoraEvent(
            at=row.at,
            owner=row.owner,
            version=row.version,
            action=LoraAction(row.action),
            actor=row.actor,
            reason=row.reason,
        )
        for row in conn.execute(_OF_OWNER, {"of_owner": owner})
    ]
