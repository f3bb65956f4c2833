"""The command tree."""

from __future__ import annotations

import os
import sys

import typer

from radbridge import __version__
from radbridge.cli.lazy import LazyGroup

app = typer.Typer(
    name="radbridge",
    cls=LazyGroup,
    help="Drafts the Impression in the signing radiologist's own style, beside the RIS, and never signs it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # a local may hold a report
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version and exit.")
) -> None:
    """Every command has `--help` with an example."""
    os.umask(0o077)  # journals, exports and reports hold patients' data: only their owner reads them
    if version:
        typer.echo(__version__)
        raise typer.Exit
    from radbridge import logs  # `--version` doesn't wait for it

    # Whatever a command sets up later: until then an error would be shown with the reports that it was about.
    logs.configure(level="warning", format="console" if sys.stderr.isatty() else "json")
