"""`radbridge models check CONFIG`. What loads a model's library is imported when the command runs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from radbridge.cli.common import err, out, told
from radbridge.errors import ConfigError
from radbridge.registry import digest_weights

if TYPE_CHECKING:
    from radbridge_model_server.models.base_check import Found

_QUIET_S = 2.0
_COLORS = {"ok": "green", "note": "yellow", "problem": "red"}
_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}

app = typer.Typer(
    name="models", help="Base models: what a config needs.", no_args_is_help=True, rich_markup_mode="rich"
)


@app.callback()
def models() -> None:
    """Base models: what a config of the model server needs."""


@app.command()
def check(
    config: Annotated[Path, typer.Argument(help="A file such as those in model_server/configs.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, for a script.")] = False,
) -> None:
    """Say everything about a config and its base model that is missing or doesn't fit. Loads no weights.

    Prints the base's digest too, for `base_digest`. Status 0: it can run; 1: it can't; 2: the config is wrong.

    Example: [cyan]radbridge models check model_server/configs/embedded.yaml[/]

    Example: [cyan]radbridge models check /etc/radbridge/model.yaml --json[/]
    """
    with told():
        found = _check(config)
    if as_json:
        typer.echo(json.dumps({"ok": _is_good(found), "found": [asdict(f) for f in found]}, indent=2))
    else:
        out.print(_tabulate(found))
    if not _is_good(found):
        raise typer.Exit(1)


def _check(config: Path) -> list[Found]:
    os.environ.update(_ENVIRONMENT)
    try:
        from radbridge_model_server.models.base_check import check_base, compare_digest
        from radbridge_model_server.settings import load_settings
    except ModuleNotFoundError as error:
        raise ConfigError([f"models check needs {error.name}: pip install 'radbridge[serve]'"]) from None
    settings = load_settings(config, check_base=False)
    found = check_base(settings)
    if all(f.grade == "ok" for f in found if f.part == "files"):
        found.append(compare_digest(settings, _digest(settings.base)))
    return found


def _digest(base: Path) -> str:
    """The digest of a folder; how far it is, where that takes longer than a moment."""
    began = time.monotonic()
    columns = (TextColumn("reading the weights"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        bar = progress.add_task("", total=sum(p.stat().st_size for p in base.glob("*.safetensors")), visible=False)

        def advance(size: int) -> None:
            progress.update(bar, advance=size, visible=time.monotonic() - began > _QUIET_S)

        return digest_weights(base, advance)


def _is_good(found: Sequence[Found]) -> bool:
    return all(f.grade != "problem" for f in found)


def _tabulate(found: Sequence[Found]) -> Table:
    table = Table("part", "", "what")
    for f in found:
        table.add_row(f.part, f"[{_COLORS[f.grade]}]{f.grade}[/]", escape(f.text))
    return table
