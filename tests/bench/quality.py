"""docs/quality.md: how good drafts are, in tables and pictures, by one command.

    .venv/bin/python -m tests.bench.quality [--data FOLDER] [--openi MADE] [--out docs] [--only memory] [--quick]

`FOLDER` holds strangers' reports as `openi/train.jsonl`, `openi/valid.jsonl` and `mtsamples/reports.jsonl`; without it
the parts on generated reports are measured. `MADE` is what `training/recipes/openi.py` made, the folder of its `--out`.
Parts that aren't measured this time stay on the page as they are. No text of a report, no path and no name of a machine
gets there.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.bench.quality_parts import PARTS, RADIOLOGISTS, SIGNED, Bench
from tests.bench.quality_tables import Section

PAGE = "quality.md"
PICTURES = "pictures"
WORDS = Path(__file__).with_suffix(".toml")
_LINE, _INDENTED = "\n", "\n  "
_PART = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->\n", re.DOTALL)


def main() -> None:
    """Measure the parts that are asked for, and write the page anew."""
    options = _read_options()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(work=Path(folder), data=options.data, openi=options.openi, quick=options.quick)
        for name, measure in PARTS.items():
            if options.only and name not in options.only:
                continue
            console.rule(name)
            section = measure(bench)
            if section is None:
                console.print(f"{name}: not measured, for want of --data or --openi")
            else:
                write(options.out, section, datetime.now(UTC).date())


def write(docs: Path, section: Section, day: date) -> None:
    """Put one part on the page, in its place, and its pictures beside it."""
    words = tomllib.loads(WORDS.read_text(encoding="utf-8"))
    page = docs / PAGE
    parts = dict(_PART.findall(page.read_text(encoding="utf-8"))) if page.exists() else {}
    parts[section.name] = _compose(words[section.name], section.body, day)
    marked = [f"<!-- {name} -->\n{parts[name]}<!-- /{name} -->\n" for name in PARTS if name in parts]
    limits = (
        "## Limits\n\n" + "\n".join(f"- {limit.strip().replace(_LINE, _INDENTED)}" for limit in words["limits"]) + "\n"
    )
    page.write_text("\n".join(["# Quality\n", words["intro"].strip() + "\n", *marked, limits]), encoding="utf-8")
    (docs / PICTURES).mkdir(exist_ok=True)
    for name, picture in section.pictures.items():
        (docs / PICTURES / name).write_text(picture + "\n", encoding="utf-8")


def _compose(words: Mapping[str, str], body: str, day: date) -> str:
    said = words["said"].format(radiologists=RADIOLOGISTS, signed=SIGNED).strip()
    return f"## {words['title']}\n\n{said} Measured on {day:%Y-%m-%d}.\n\n{body}\n"


def _read_options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="strangers' reports")
    parser.add_argument("--openi", type=Path, help="the recipe's folder")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--only", nargs="*", choices=tuple(PARTS), help="these parts alone")
    parser.add_argument("--quick", action="store_true", help="a few reports of each: shows that it runs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
