"""`radbridge memory`: what the style memory holds, and how it forgets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer
from sqlalchemy import Connection

from radbridge.audit import What
from radbridge.cli.common import ConfigOption, err, noted, site_of, told, writing
from radbridge.errors import ConfigError
from radbridge.journal import audit, memory

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
        operation = _choose(signer, before, everything=everything)
        with writing(site_of(config)) as conn:
            count = operation(conn)
            detail = {"memory": str(count), "radiologist": signer, "before": f"{before:%Y-%m-%d}" if before else ""}
            told_details = {word: text for word, text in detail.items() if text}
            audit.note(conn, [noted(What.PURGED, "memory forget", **told_details)])
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
