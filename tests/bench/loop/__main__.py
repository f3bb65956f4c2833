"""The learning loop as a whole: simulated radiologists sign over HL7, turns train, every way of drafting is measured.

`python -m tests.bench.loop [--form whole|middle|quick] [--folder var/bench/loop] [--docs docs]`

What is done is noted in the folder, so that a run that was cut off goes on where it was. Status 1: an aim is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

from tests.bench.loop.forms import FORMS
from tests.bench.loop.run import Loop


def main() -> int:
    """Run one form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=FORMS, default="whole")
    parser.add_argument("--quick", action="store_const", const="quick", dest="form", help="--form quick")
    parser.add_argument("--folder", type=Path, default=Path("var/bench/loop"))
    parser.add_argument("--out", type=Path, default=Path("var/bench/loop.json"))
    parser.add_argument("--docs", type=Path, help="made anew: learning.md and pictures/; the whole form's are docs")
    said = parser.parse_args()
    folder = said.folder.resolve() / said.form
    folder.mkdir(parents=True, exist_ok=True)
    loop = Loop(FORMS[said.form], folder)
    result = asyncio.run(loop.run())
    said.out.parent.mkdir(parents=True, exist_ok=True)
    said.out.write_text(json.dumps(result.as_json(), indent=1) + "\n", encoding="utf-8")
    docs = said.docs or (Path("docs") if said.form == "whole" else None)
    if docs:
        result.publish(docs)
    print(result.tell())
    return 0 if result.reached else 1


if __name__ == "__main__":
    sys.exit(main())
