"""Notes which drafts were given to somebody: only these count as delivered when the report is signed."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

from sqlalchemy import Connection

from radbridge.flow.wake import Alarm
from radbridge.journal import shown
from radbridge.wire import Store
from radbridge_adapters.resources.codes import DRAFT_SYSTEM

WAITING = 10_000
"""Notes that wait for the disk at most; the oldest go first."""
_TAG = re.compile(rb'"system":"%s","code":"(D[0-9a-f]+)"' % re.escape(DRAFT_SYSTEM.encode()))
"""meta.tag of a draft's resources, as our store writes it; that of a withdrawal is another."""


class Shown:
    """Stores the notes behind the answers; a `radbridge.wire.Worker`."""

    name = "shown"

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting = deque[str](maxlen=WAITING)
        self._alarm = Alarm()

    def note(self, raw: bytes) -> None:
        """Somebody gets this resource, or this Bundle. Never waits."""
        found = [tag.decode() for tag in _TAG.findall(raw)]
        if found:
            self._waiting.extend(found)
            self._alarm.ring()

    async def run(self) -> None:
        """Store what was noted, until cancelled."""
        while True:
            await self._alarm.wait()
            ids = list(dict.fromkeys(self._waiting))
            self._waiting.clear()
            await self._store.write(_note, ids)


def _note(conn: Connection, items: Sequence[Sequence[str]]) -> list[None]:
    shown.note(conn, [id for ids in items for id in ids], "fhir")
    return [None] * len(items)
