"""`radbridge edits`: de-identified rows of what radiologists made of their drafts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from sqlalchemy import Connection

from radbridge.audit import What
from radbridge.cli.common import ConfigOption, err, noted, reading, site_of, told
from radbridge.example import StyleExample
from radbridge.imaging import tell_comparison
from radbridge.journal import drafts, learning, memory, secrets
from radbridge.learning import TrainingReport, as_input
from radbridge.memory import number_of
from radbridge.prompt import build_prompt


def edits(
    out_file: Annotated[Path, typer.Option("--out", help="JSON lines to write; replaced when it exists.")],
    config: ConfigOption = None,
) -> None:
    """Export the edits as de-identified JSON lines, one a signed report that had a draft.

    They come from the style memory: what it has forgotten, or has still to scrub, isn't among them.

    Example: [cyan]radbridge edits --out edits.jsonl --config site.toml[/]
    """
    with told():
        site = site_of(config)
        count = 0
        with reading(site, noted(What.EXPORTED, "edits")) as conn, out_file.open("wb") as sink:
            secret = secrets.read(conn, secrets.PSEUDONYMS)
            for radiologist in sorted(learning.count_reports(conn)):
                reports = learning.read_reports(
                    conn, secret=secret, radiologist=radiologist, consent=site.training.has_consent
                )
                for report in (r for r in reports if r.draft_id):
                    sink.write(orjson.dumps(_as_row(report, _examples(conn, report.draft_id))) + b"\n")
                    count += 1
            waits = bool(memory.waiting(conn, 1))
    err.print(f"{count} edit{'' if count == 1 else 's'} written to {out_file}", highlight=False)
    if waits:
        err.print("[yellow]reports still wait to be scrubbed:[/] a running gateway does that; export again then")


def _as_row(report: TrainingReport, examples: list[StyleExample]) -> dict[str, Any]:
    """The prompt is that of a model which writes the whole impression, without a preliminary text and examples."""
    row: dict[str, Any] = {
        name: getattr(report, name)
        for name in (
            *("id", "order", "radiologist", "outcome", "script", "lora", "asked", "model"),
            *("prompt_version", "flags", "findings", "indication", "modality", "sex", "age", "corrected"),
            *("consent", "use", "why", "message", "draft_id"),
        )
    }
    return row | {
        "distance": None if report.distance is None else round(report.distance, 4),
        "comparison": tell_comparison(report.comparison, report.prior),
        "prompt": build_prompt(as_input(report)),
        "chosen": report.signed,
        "rejected": report.draft,
        "examples": [{"findings": e.findings, "impression": e.impression} for e in examples],
    }


def _examples(conn: Connection, draft_id: str) -> list[StyleExample]:
    """What the draft was written beside, and what of it is still remembered."""
    draft = drafts.by_id(conn, draft_id)
    numbers = [number_of(name) for name in draft.draft.examples] if draft else []
    found = memory.load(conn, [n for n in numbers if n is not None])
    return [found[n][1].example for n in numbers if n in found]
