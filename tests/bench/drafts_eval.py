"""What a stranger's reports come out as: drafts in each of the three shipped styles, measured against what was signed.

    .venv/bin/python -m tests.bench.drafts_eval --data reports.jsonl [--model FOLDER] [--out page.html]

The data are JSON lines with `findings` and `impression`, perhaps `indication` and `comparison`; they stay where they
are. All goes the way of the shipped commands: model server, `radbridge draft`, `radbridge evaluate`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

from radbridge.cli.evaluation_table import show
from radbridge.evaluation.page import render
from tests.bench.quality_drafts import System, choose_model, draft, evaluate, read_rows, write_rows

STYLES = ("succinct", "elaborate", "numbered")
READER = "reader"


def take(data: Path, folder: Path, limit: int) -> Path:
    """The first reports that have both texts, all of one reader."""
    rows = [row for row in read_rows(data) if row["findings"].strip() and row["impression"].strip()][:limit]
    numbered = ({"id": str(number), **row, "radiologist": READER} for number, row in enumerate(rows))
    return write_rows(folder / "signed.jsonl", numbered)


def tell_stages(drafts: Path) -> str:
    """Which stage wrote how many, and how many were rewritten only in part."""
    rows = [json.loads(line) for line in drafts.read_text(encoding="utf-8").splitlines()]
    stages = Counter(row.get("stage", "none") for row in rows)
    partly = sum(any("left as they were" in why for why in row.get("fallback", ())) for row in rows)
    told = ", ".join(f"{stage} {100 * count / len(rows):.0f} %" for stage, count in stages.most_common())
    return f"{told}; in part {100 * partly / len(rows):.0f} %"


def main() -> None:
    """Draft, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="a folder with base/ and loras/; the packaged model without")
    parser.add_argument("--limit", type=int, default=300, help="at most so many reports")
    parser.add_argument("--out", type=Path, help="write the page too")
    options = parser.parse_args()
    model = choose_model(options.model)
    systems = [System(name=style, settings=model | {"personas": {READER: f"persona/{style}"}}) for style in STYLES]
    with tempfile.TemporaryDirectory() as name:
        references = take(options.data, Path(name), options.limit)
        drafts = draft(references, systems, Path(name))
        found = evaluate(drafts, references)
        show(found, [])
        for system in found.systems:
            print(f"{system.name}: {tell_stages(drafts[system.name])}, p50 {system.ms.p50 if system.ms else 0:.0f} ms")
        if options.out:
            options.out.write_text(render(found), encoding="utf-8")


if __name__ == "__main__":
    main()
