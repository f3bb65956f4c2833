"""What the checks found, as a table for people and as JSON for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from radbridge import __version__
from radbridge_adapters.conformance.check import Outcome, passes


def make_table(outcomes: Sequence[Outcome]) -> Table:
    """One row a check."""
    table = Table("", "check", "", "the receiver …", "clause", "ms", box=None, pad_edge=False)
    for outcome in outcomes:
        what = Text(outcome.promise)
        if not outcome.kept:
            what.append(f"\nseen: {outcome.seen}", style="red")
        mark = Text("✓", "green") if outcome.kept else Text("✗", "bold red")
        table.add_row(mark, outcome.id, outcome.level.value, what, Text(outcome.clause), f"{outcome.ms:.0f}")
    return table


def make_document(wire: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """For a build server. The target is not named: its URL may hold a secret."""
    return {
        "radbridge": __version__,
        "wire": wire,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "passes": passes(outcomes),
        "checks": [asdict(outcome) for outcome in outcomes],
    }
