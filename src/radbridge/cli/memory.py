"""`radbridge memory`: what the style memory holds, and how it forgets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from radbridge.cli.common import ConfigOption, err, existing_engine, site_of, told
from radbridge.errors import ConfigError, JournalError
from radbridge.journal import memory
from radbridge.journal.journal import describe

app = typer.Typer(
    help="The style memory: signed reports, de-identified, as examples of how their signers write.",
    no_args_is_help=True,
)


@app.callback()
def main() -> None:
    """The style memory."""


@app.command()
def forget(
    config: ConfigOption = None,
    signer: Annotated[str, typer.Option(help="Forget what this radiologist signed.")] = "",
    before: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Forget what was signed before this day (UTC).")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Forget every report.")] = False,
) -> None:
    """Forget remembered reports, for good; a running gateway shows none of them from then on. Cases and drafts stay.

    Example: [cyan]radbridge memory forget --before 2024-01-01 --config site.toml[/]
    """
    with told():
        count = _write(config, _choose(signer, before, everything=everything))
    err.print(f"{count} report{'' if count == 1 else 's'} forgotten", highlight=False)


def _choose(signer: str, before: datetime | None, *, everything: bool) -> Callable[[Connection], int]:
    asked: list[Callable[[Connection], int]] = []
    if signer:
        asked.append(partial(memory.forget_signer, signer=signer))
    if before is not None:
        asked.append(partial(memory.forget_before, at=before.replace(tzinfo=UTC)))
    if everything:
        asked.append(memory.forget_all)
    if len(asked) != 1:
        raise ConfigError(["memory forget needs one of --signer, --before and --all"])
    return asked[0]


def _write(config: Path | None, operation: Callable[[Connection], int]) -> int:
    engine = existing_engine(site_of(config))
    try:
        with engine.begin() as conn:
            return operation(conn)
    except SQLAlchemyError as error:
        raise JournalError(describe(error)) from None
    finally:
        engine.dispose()
