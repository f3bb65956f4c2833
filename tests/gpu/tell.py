"""What the script says while it works, and its tables: plain text, for nothing more than torch need be installed."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

_BEGAN = time.monotonic()


def tell(text: str) -> None:
    """One line of progress on standard error."""
    sys.stderr.write(f"[{time.monotonic() - _BEGAN:6.1f} s] {text}\n")
    sys.stderr.flush()


def show(title: str, rows: Sequence[dict[str, object]]) -> None:
    """A table in Markdown on standard output."""
    if not rows:
        return
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([str(cell) for cell in row.values()] for row in rows)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    sys.stdout.write(f"\n{title}\n\n{text}\n")
