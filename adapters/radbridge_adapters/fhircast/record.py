"""What is journaled of an event: the event and the whole context after it, so that it is read without looking back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from radbridge.errors import MessageFault
from radbridge_adapters.fhircast.message import EventMessage, Resource, read_time, write_time
from radbridge_adapters.fhircast.names import EventName, parse_name
from radbridge_adapters.fhircast.session import Open
from radbridge_adapters.resources.json import read_json, write_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One event of a report, and its context as it was then. It holds no topic: that is a secret."""

    id: str
    name: EventName
    at: datetime
    fhir: str
    """`R4` or `R5`"""
    anchor: str
    """The report's id."""
    context: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    content: Sequence[Resource] = field(default=(), repr=False)

    @classmethod
    def of(cls, event: EventMessage, about: Open, fhir: str) -> Record:
        """The record of an event that made `about` what it is."""
        return cls(
            id=event.id,
            name=event.name,
            at=event.at,
            fhir=fhir,
            anchor=about.id,
            context=about.context,
            content=list(about.content.values()),
        )

    def write(self) -> bytes:
        """As JSON."""
        return write_json(
            {
                "id": self.id,
                "timestamp": write_time(self.at),
                "event": str(self.name),
                "fhir": self.fhir,
                "anchor": self.anchor,
                "context": list(self.context),
                "content": list(self.content),
            }
        )


def read_record(raw: bytes) -> Record:
    """The record in `raw`. Raises MessageFault."""
    document = read_json(raw)
    try:
        return Record(
            id=document["id"],
            name=parse_name(document["event"]),
            at=read_time(document["timestamp"]),
            fhir=document["fhir"],
            anchor=document["anchor"],
            context=document["context"],
            content=document["content"],
        )
    except (KeyError, TypeError) as error:
        raise MessageFault("no_record", f"the journaled event is not whole ({type(error).__name__})") from None
