"""The table of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench.loop.figures import Figure

BEGIN, END = "<!-- loop -->", "<!-- /loop -->"


def tell_table(figures: Sequence[Figure]) -> str:
    """Markdown."""
    lines = [
        "| round | way | edit distance [95 %] | signed as is | flags a draft | drafts with a refusal |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {f.round} | {f.arm} | {f.distance:.3f} [{f.low:.3f}, {f.high:.3f}] | {f.accepted:.0%} | {f.flags:.2f} "
        f"| {f.refused:.0%} |"
        for f in figures
    ]
    return "\n".join(lines)


def put_table(page: Path, text: str) -> None:
    """Between the page's marks, in the place of what was there."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
