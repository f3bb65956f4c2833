"""The command tree."""

from __future__ import annotations

import os
from importlib.metadata import entry_points

import typer

from radbridge import __version__
from radbridge.cli import (
    absent,
    apikeys,
    audit,
    cases,
    check,
    dead,
    destinations,
    draft,
    edits,
    evaluate,
    forget,
    gateways,
    guard,
    importing,
    loras,
    memory,
    problems,
    replay,
    store,
    up,
    users,
)

app = typer.Typer(
    name="radbridge",
    help="Drafts the Impression in the signing radiologist's own style, beside the RIS, and never signs it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # a local may hold a report
    rich_markup_mode="rich",
)
app.command()(up.up)
app.command()(check.check)
app.command("cases")(cases.list_cases)
app.command("show")(cases.show)
app.command()(problems.problems)
app.command("edits")(edits.edits)
app.command("forget")(forget.forget)
app.command("import")(importing.import_reports)
app.command("draft")(draft.draft)
app.command("evaluate")(evaluate.evaluate)
app.command("guard")(guard.guard)
app.command("gateways")(gateways.gateways)
app.command("replay")(replay.replay)
app.add_typer(loras.app, name="loras")
app.add_typer(memory.app, name="memory")
app.add_typer(dead.app, name="dead")
app.add_typer(destinations.app, name="destinations")
app.add_typer(audit.app, name="audit")
app.add_typer(store.app, name="store")
app.add_typer(users.app, name="users")
app.add_typer(apikeys.app, name="apikeys")
for _point in sorted(entry_points(group="radbridge.commands"), key=lambda p: p.name):
    try:
        _command = _point.load()
        if isinstance(_command, typer.Typer):
            app.add_typer(_command, name=_point.name)
        else:
            app.command(_point.name)(_command)
    except ImportError as _error:  # an extra that isn't installed, or somebody's plug-in: the others go on
        app.command(_point.name, **absent.SETTINGS)(absent.stand_in(_point.name, _error))


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version and exit.")
) -> None:
    """Every command has `--help` with an example."""
    os.umask(0o077)  # journals, exports and reports hold patients' data: only their owner reads them
    if version:
        typer.echo(__version__)
        raise typer.Exit
