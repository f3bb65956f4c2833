"""What an actor saw, as JSON lines that are on the disk before the actor goes on."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any


class Ledger:
    """One actor's own file. Times are seconds of the machine's monotonic clock, which all its processes share."""

    def __init__(self, folder: Path, actor: str) -> None:
        self._actor = actor
        self._file = os.open(folder / f"{actor}.jsonl", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def note(self, what: str, **facts: Any) -> None:
        """Write one fact down."""
        line = {"t": time.monotonic(), "actor": self._actor, "what": what, **facts}
        os.write(self._file, json.dumps(line).encode() + b"\n")
        os.fdatasync(self._file)

    def close(self) -> None:
        """No more facts."""
        os.close(self._file)


def digest(raw: bytes) -> str:
    """The name of a message or an answer in every ledger: SHA-256 of its bytes."""
    return hashlib.sha256(raw).hexdigest()
