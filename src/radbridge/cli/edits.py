"""`radbridge edits`: de-identified rows of what radiologists made of their drafts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer

from radbridge.cli.common import ConfigOption, err, reading, site_of, told
from radbridge.edit import deidentified_row
from radbridge.journal import cases, secrets
from radbridge.journal import edits as stored


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
                    sink.write(orjson.dumps(deidentified_row(edit, case, key=secret)) + b"\n")
                    count += 1
    err.print(f"{count} edit{'' if count == 1 else 's'} written to {out_file}", highlight=False)
