"""`radbridge edits`: de-identified rows of what radiologists made of their drafts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer
from sqlalchemy import Connection

from radbridge.cli.common import ConfigOption, err, reading, site_of, told
from radbridge.edit import Edit, deidentified_row
from radbridge.example import StyleExample
from radbridge.journal import cases, drafts, memory, secrets
from radbridge.journal import edits as stored
from radbridge.memory import number_of


def edits(
    out_file: Annotated[Path, typer.Option("--out", help="JSON lines to write; replaced when it exists.")],
    config: ConfigOption = None,
) -> None:
    """Export the edits as de-identified JSON lines, one a signed report.

    Example: [cyan]radbridge edits --out edits.jsonl --config site.toml[/]
    """
    with told():
        site = site_of(config)
        count = 0
        with reading(site) as conn, out_file.open("wb") as sink:
            secret = secrets.read(conn, secrets.PSEUDONYMS)
            for key, edit in stored.kept(conn):
                case = cases.load(conn, key)
                if case is not None:
                    row = deidentified_row(edit, case, key=secret, examples=_examples(conn, edit))
                    sink.write(orjson.dumps(row) + b"\n")
                    count += 1
    err.print(f"{count} edit{'' if count == 1 else 's'} written to {out_file}", highlight=False)


def _examples(conn: Connection, edit: Edit) -> list[StyleExample]:
    """What the draft was written beside, and what of it is still remembered."""
    draft = drafts.by_id(conn, edit.draft_id)
    numbers = [number_of(name) for name in draft.draft.examples] if draft else []
    found = memory.load(conn, [n for n in numbers if n is not None])
    return [found[n][1].example for n in numbers if n in found]
