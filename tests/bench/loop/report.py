"""The table of a run, and its pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from radbridge.evaluation.svg import Mark, Row, draw_rows
from tests.bench.loop.arms import Arm
from tests.bench.loop.figures import Figure

BEGIN, END = "<!-- loop -->", "<!-- /loop -->"
PICTURES: dict[str, tuple[str, Callable[[Figure], Mark]]] = {
    "distance": (
        "Mean edit distance by round (95 %, radiologists drawn anew)",
        lambda f: Mark(value=f.distance, low=f.low, high=f.high),
    ),
    "accepted": ("Share of drafts signed as they are, by round", lambda f: Mark(value=f.accepted)),
    "flags": ("Guard flags a draft, by round", lambda f: Mark(value=f.flags)),
}
"""By the end of the file's name: the title, and what is drawn of a figure."""


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


def draw(figures: Sequence[Figure], folder: Path) -> None:
    """`loop-distance.svg` and the others into `folder`."""
    arms = [str(arm) for arm in Arm]
    folder.mkdir(parents=True, exist_ok=True)
    for name, (title, mark) in PICTURES.items():
        rows = [
            Row(
                label=f"round {number}",
                marks=tuple(_in_series(mark(f), arms.index(f.arm)) for f in figures if f.round == number),
            )
            for number in sorted({f.round for f in figures})
        ]
        text = draw_rows(rows, title=title, from_zero=True, key=arms)
        (folder / f"loop-{name}.svg").write_text(text, encoding="utf-8")


def _in_series(mark: Mark, series: int) -> Mark:
    return Mark(value=mark.value, low=mark.low, high=mark.high, series=series)
