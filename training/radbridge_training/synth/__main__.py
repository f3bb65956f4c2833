"""Generated reports as JSON lines: `python -m radbridge_training.synth --count 100 --out reports.jsonl`."""

from __future__ import annotations

import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from radbridge_training.synth.mixture import EVEN, HOSPITAL, PLAIN
from radbridge_training.synth.persona import Part, pick_personas
from radbridge_training.synth.report import generate_reports


class Mix(StrEnum):
    """A mixture by its name."""

    HOSPITAL = "hospital"
    PLAIN = "plain"
    EVEN = "even"


_MIXTURES = {Mix.HOSPITAL: HOSPITAL, Mix.PLAIN: PLAIN, Mix.EVEN: EVEN}


def main(
    count: Annotated[int, typer.Option(help="So many reports.", min=0)],
    out: Annotated[Path, typer.Option(help="The JSON lines; an existing file is replaced.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same reports.")] = 0,
    personas: Annotated[int, typer.Option(help="So many held-out personas; 0: the three that ship.", min=0)] = 0,
    mixture: Annotated[Mix, typer.Option(help="A hospital's; the same without invented words; every study alike.")] = (
        Mix.HOSPITAL
    ),
) -> None:
    """Write generated reports, one at a time."""
    chosen = _MIXTURES[mixture]
    if personas:
        chosen = replace(chosen, personas=tuple(pick_personas(seed, personas, Part.HELD_OUT)))
    with out.open("w", encoding="utf-8") as lines:
        for number, report in enumerate(generate_reports(seed, count, chosen), 1):
            lines.write(json.dumps(report.as_row(number), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    typer.run(main)
