"""What is written: one new version of a resource, and everything of one request that has to stand together."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Literal

from radbridge.audit import Note
from radbridge.traces import carried
from radbridge_adapters.fhir.search.query import SearchQuery
from radbridge_adapters.fhir.store.index import IndexRow, rows_of
from radbridge_adapters.resources.json import write_json
from radbridge_adapters.resources.ours import is_ours

Origin = Literal["peer", "draft"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A version of a resource, ready to be written."""

    type: str
    id: str = field(repr=False)
    version: int
    at: datetime
    method: str
    origin: Origin
    client: str
    document: Mapping[str, Any] = field(repr=False)
    raw: bytes = field(repr=False)
    """The document as JSON, which is what is stored."""
    rows: Sequence[IndexRow] = field(repr=False)
    is_new_name: bool
    """Whether this server chose the id just now, so that nobody can have referred to it before."""
    trace: str = ""
    """Of the request that wrote it: the W3C `traceparent`."""

    @property
    def key(self) -> str:
        """`Patient/12`."""
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A search that has to find just these ids, or what was planned holds no more."""

    query: SearchQuery = field(repr=False)
    ids: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What one request writes: all of it or nothing."""

    versions: tuple[Version, ...]
    checks: tuple[Check, ...] = ()
    peer: str = ""
    notes: tuple[Note, ...] = ()
    """For the audit trail, with it."""

    @property
    def is_plain(self) -> bool:
        """Whether it can't collide with anything: only new resources under ids that nobody knows."""
        return not self.checks and all(v.is_new_name for v in self.versions)


_PROCESS = secrets.token_hex(6)
_COUNT = count()


def new_id() -> str:
    """An id that no other process ever gives, and that grows with time: the newest rows stand together on the disk."""
    milliseconds = time.time_ns() // 1_000_000
    return f"{milliseconds:012x}{_PROCESS}{next(_COUNT) & 0xFFFFFFFF:08x}"


def make_version(
    document: Mapping[str, Any],
    *,
    id: str,
    version: int,
    method: str,
    client: str,
    base: str,
    is_new_name: bool = False,
    origin: Origin | None = None,
) -> Version:
    """The document as it will be stored: with our id, version and time, all else as it came."""
    at = _now()
    told = {"versionId": str(version), "lastUpdated": format_instant(at)}
    stored = {
        "resourceType": document["resourceType"],
        "id": id,
        "meta": {**document.get("meta", {}), **told},
        **{name: value for name, value in document.items() if name not in _OURS},
    }
    return Version(
        type=str(document["resourceType"]),
        id=id,
        version=version,
        at=at,
        method=method,
        origin=origin or ("draft" if is_ours(document) else "peer"),
        client=client,
        document=stored,
        raw=write_json(stored),
        rows=rows_of(stored, base),
        is_new_name=is_new_name,
        trace=carried(),
    )


def _now() -> datetime:
    """To the millisecond: what a client reads in `lastUpdated` is what it can search for."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


_OURS = frozenset({"resourceType", "id", "meta"})


def format_instant(at: datetime) -> str:
    """`2026-11-21T10:39:31.123Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_same(document: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Whether storing it would change nothing but version and time."""
    return _content(document) == _content(stored)


def _content(document: Mapping[str, Any]) -> dict[str, Any]:
    meta = {k: v for k, v in document.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    return {**{k: v for k, v in document.items() if k not in ("id", "meta")}, "meta": meta}
