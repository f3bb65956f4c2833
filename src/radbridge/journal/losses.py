"""What is known of the events of a key that was given up: digests of them as they stood then, kept in the trail.

Nothing opens such an event, so nothing adds its hash up again. Whoever gives the key up notes a digest for each
stretch of the chain, in notes that other keys open: an event that was changed since doesn't fit, and neither does one
whose key nobody has given up in the trail. A purge takes the chain's beginning: of a stretch that it has cut no
more is asked than that it was noted.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Row

from radbridge.audit import Note, What
from radbridge.errors import AuditBroken
from radbridge.journal.sealing import key_of

STRETCH = 100
"""Events of one digest: what is left of one after a purge is taken on its word."""
_AT_ONCE = 100
"""Digests of one note: some 13 KB as a syslog message."""
UNDONE = "undone_key_id"
"""In a note: this key is there after all, and what was noted of it before counts no more."""
_KEY = "key_id"
_FROM = "events_from_"
_Place = tuple[int, int]
"""A key, and the first event of a stretch."""


class Losses:
    """The given-up events of a chain, as they stand, and what was noted of them."""

    def __init__(self) -> None:
        self._stand = dict[_Place, bytes]()
        self._noted = defaultdict[_Place, set[str]](set)

    def add(self, event: Row[Any]) -> None:
        """An event of a given-up key, in the order of the chain."""
        stored = bytes(event.stored)
        columns = (event.what, event.actor, event.entity, event.patient)
        told = [event.seq, event.at.isoformat(), *columns, event.prev.hex(), event.hash.hex(), stored.hex()]
        place = key_of(stored), _first(event.seq)
        self._stand[place] = hashlib.sha256(self._stand.get(place, b"") + json.dumps(told).encode()).digest()

    def hear(self, told: Note, seq: int) -> None:
        """A note that can be read, the event `seq`: it may be of a key that was given up. Raises AuditBroken."""
        if told.what is not What.KEY_ROTATED:
            return
        if UNDONE in told.detail:
            for place in [place for place in self._noted if str(place[0]) == told.detail[UNDONE]]:
                del self._noted[place]
        for word, digest in told.detail.items():
            if word.startswith(_FROM):
                key, first = told.detail.get(_KEY, ""), word.removeprefix(_FROM)
                if not (key.isdecimal() and first.isdecimal()):
                    raise AuditBroken(seq, "a note of a key that was given up isn't one that RadBridge writes")
                self._noted[int(key), int(first)].add(digest)

    def details(self, key: int) -> Iterator[Mapping[str, str]]:
        """What stands of this key, for notes; one at least."""
        found = [(f"{_FROM}{first}", one.hex()) for (of, first), one in self._stand.items() if of == key]
        for start in range(0, max(len(found), 1), _AT_ONCE):
            yield {_KEY: str(key), **dict(found[start : start + _AT_ONCE])}

    def compare(self, after: int) -> None:
        """Raise AuditBroken unless what stands after this event is what was noted."""
        for place, one in sorted(self._stand.items(), key=lambda item: item[0][1]):
            noted, first = self._noted.get(place), place[1]
            if noted is None:
                raise AuditBroken(max(first, after + 1), "nobody has given up the key of an event in this stretch")
            if first > after and noted != {one.hex()}:
                raise AuditBroken(first, "an event of a key that was given up isn't as it was then, in this stretch")


def _first(seq: int) -> int:
    return seq - (seq - 1) % STRETCH
