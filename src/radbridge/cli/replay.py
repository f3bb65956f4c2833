"""`radbridge replay`: messages of the journal once more, where they can do no harm."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.table import Table

from radbridge.audit import What, each
from radbridge.cli.common import ConfigOption, err, noted, out, reading, site_of, told
from radbridge.cli.rows import make_progress
from radbridge.config import Site
from radbridge.errors import ConfigError
from radbridge.flow.replaying import CoarseModel, Replay, Replayed, Span, make_folder, read_told, shut_in, subjects
from radbridge.gateway import make_model_client, make_wires
from radbridge.wire import Received

_FORMS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


def replay(
    *,
    since: Annotated[datetime, typer.Option("--from", formats=_FORMS, help="The first moment, UTC.")],
    until: Annotated[datetime, typer.Option("--to", formats=_FORMS, help="The moment after the last, UTC.")],
    into: Annotated[Path, typer.Option("--into", help="An empty folder, or one to be made: it will hold PHI.")],
    config: ConfigOption = None,
    accession: Annotated[str, typer.Option("--accession", help="Only messages of this one.")] = "",
    model: Annotated[
        str, typer.Option("--model", help="A model server's URL; without it drafts are what the findings state.")
    ] = "",
) -> None:
    """Run messages that came in through a sandbox: what this version makes of them, as it would send it.

    Each is applied, drafted and "delivered" into files below the folder, in a journal of its own. Nothing listens,
    and nothing but the model server can be reached, whatever the config names.

    Example: [cyan]radbridge replay --from 2026-11-21 --to 2026-11-22 --into /tmp/yesterday --config site.toml[/]
    """
    with told():
        site = site_of(config)
        span = Span(since=since.replace(tzinfo=UTC), until=until.replace(tzinfo=UTC), accession=accession)
        if span.since >= span.until:
            raise ConfigError(["--to: must be after --from"])
        server = _server_of(model)
        make_folder(into)
        note = noted(What.EXPORTED, "replay", accession=accession)
        with reading(site, seen=lambda conn: each(note, subjects(conn, span))) as conn:
            received = read_told(conn, span)
        replayed = asyncio.run(_run(site, into, received, model, server))
    _tell(replayed, into)


def _server_of(url: str) -> tuple[str, int] | None:
    """The host and port of a model server. Raises ConfigError."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError([f"--model: {url} is no URL"]) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError([f"--model: {url} is no http:// or https:// URL; an embedded server can't be started here"])
    return parts.hostname, port or (443 if parts.scheme == "https" else 80)


async def _run(
    site: Site, into: Path, received: list[Received], model: str, server: tuple[str, int] | None
) -> Replayed:
    client = make_model_client(model, site.model.deadline_s, site.model) if model else CoarseModel()
    shut_in(server)  # before any wire is made, and after the journal was read
    try:
        with make_progress() as progress:
            bar = progress.add_task("replaying", total=len(received))
            made = Replay(site, into, make_wires=make_wires, model=client)
            return await made.run(received, on_message=lambda: progress.advance(bar))
    finally:
        await client.close()


def _tell(replayed: Replayed, into: Path) -> None:
    table = Table("messages", "")
    for state, count in sorted(replayed.ends.items()):
        table.add_row(state, str(count))
    out.print(table if replayed.ends else "no message of that time")
    err.print(f"{replayed.payloads} payloads in {into / 'out'}, cases in {into}; delete it when done", highlight=False)
