"""What each published LoRA was trained on, and which have to be trained anew because something was withdrawn since."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, tuple_

from radbridge.case import CaseKey
from radbridge.journal import lora_events
from radbridge.journal.lora_events import LoraEvent
from radbridge.journal.schema import LoraAction, lora_sources
from radbridge.journal.schema import lora_events as events
from radbridge.journal.upsert import insert

_RECORD = insert(lora_sources).on_conflict_do_nothing()
_OF_VERSION = select(lora_sources.c.accession, lora_sources.c.issuer).where(
    lora_sources.c.version == bindparam("of_version")
)
_VERSIONS = (
    select(lora_sources.c.version)
    .where(tuple_(lora_sources.c.accession, lora_sources.c.issuer).in_(bindparam("keys", expanding=True)))
    .distinct()
)
_MARKED = select(events.c.version).where(events.c.action == LoraAction.MARKED)
_AT_ONCE = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """Who found that versions have to be trained anew, when, and why."""

    at: datetime
    actor: str
    reason: str


def record(conn: Connection, version: str, keys: Iterable[CaseKey], parent: str) -> None:
    """A version was trained on these cases, and on all that its `parent` was; empty: it began at the base."""
    inherited = conn.execute(_OF_VERSION, {"of_version": parent}) if parent else ()
    cases = {(key.accession, key.issuer) for key in keys} | {(row.accession, row.issuer) for row in inherited}
    rows = [{"version": version, "accession": accession, "issuer": issuer} for accession, issuer in sorted(cases)]
    if rows:
        conn.execute(_RECORD, rows)


def trained_on(conn: Connection, keys: Collection[CaseKey]) -> frozenset[str]:
    """The versions that learned from any of these cases."""
    wanted = [(key.accession, key.issuer) for key in keys]
    blocks = (wanted[i : i + _AT_ONCE] for i in range(0, len(wanted), _AT_ONCE))
    return frozenset(row.version for block in blocks for row in conn.execute(_VERSIONS, {"keys": block}))


def mark(conn: Connection, versions: Iterable[str], why: Mark) -> frozenset[str]:
    """Note that versions have to be trained anew; those of them for which nobody had noted it yet."""
    new = frozenset(versions) - marked(conn)
    told = [
        LoraEvent(
            at=why.at,
            owner=version.partition("@")[0],
            version=version,
            action=LoraAction.MARKED,
            actor=why.actor,
            reason=why.reason,
        )
        for version in sorted(new)
    ]
    if told:
        lora_events.record(conn, told)
    return new


def marked(conn: Connection) -> frozenset[str]:
    """The versions that were trained on something that was withdrawn since."""
    return frozenset(conn.execute(_MARKED).scalars())
