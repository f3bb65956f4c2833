"""The audit chain, added up a second time from its rows, by another hand than the gateway's."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from tests.torture.tables import Row, Tables

NOTED = {"current": "draft_made", "withdrawn": "draft_made", "signed": "draft_made", "stale": "draft_made"} | {
    "blocked": "draft_blocked"
}
"""A draft's state -> the one note that tells of its making. One without a text has none."""


def check_chain(tables: Tables) -> Iterator[str]:
    """A line for each gap, each event that doesn't stand on the one before, each draft without its one note."""
    prev, seq = bytes(32), 0
    for row in tables["audit_event"]:
        if row["seq"] != seq + 1:
            yield f"event {seq + 1} is missing"
        elif bytes(row["prev"]) != prev:
            yield f"event {row['seq']} doesn't stand on the one before it"
        elif bytes(row["hash"]) != _link(prev, row):
            yield f"event {row['seq']} isn't what was chained"
        prev, seq = bytes(row["hash"]), row["seq"]
    told = Counter[tuple[str, str]]()
    for row in tables["audit_event"]:
        said = json.loads(bytes(row["document"]))
        told[said["what"], said.get("detail", {}).get("draft_id", "")] += 1
    for draft in tables["draft"]:
        what = NOTED.get(draft["state"])
        if what and draft["text"] and told[what, draft["id"]] != 1:
            yield f"draft {draft['id']} ({draft['state']}): {told[what, draft['id']]} notes that it was made"


def _link(prev: bytes, row: Row) -> bytes:
    at = row["at"] if isinstance(row["at"], datetime) else datetime.fromisoformat(row["at"])
    moment = f"{at.isoformat(timespec='microseconds')}+00:00\n".encode()
    return hashlib.sha256(prev + int(row["seq"]).to_bytes(8, "big") + moment + bytes(row["document"])).digest()
