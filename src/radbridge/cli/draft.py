"""`radbridge draft`: a batch of cases through the model server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError

from radbridge.cli.common import ConfigOption, err, site_of, told
from radbridge.cli.rows import Line, make_progress, parse_row, read_lines, refuse_same, tell_problem
from radbridge.config import Site
from radbridge.contract import REQUEST, DraftResponse
from radbridge.embedded import EmbeddedModelServer
from radbridge.errors import ModelError
from radbridge.flow.drafting import ModelClient
from radbridge.gateway import make_model_client

BATCH_TIMEOUT_S = 120.0
"""A batch has no radiologist waiting: a draft may take its time."""


def draft(
    in_file: Annotated[
        Path,
        typer.Option("--in", help="JSON lines: id, findings, indication, comparison, modality, sex, age, radiologist."),
    ],
    out_file: Annotated[Path, typer.Option("--out", help="JSON lines to write: id, draft, lora, model, flags, ms.")],
    config: ConfigOption = None,
    model: Annotated[
        str, typer.Option("--model", help="The model server's URL, or `embedded`; else the config's.")
    ] = "",
) -> None:
    """Draft a batch of cases through the model server. A bad line becomes a row with an `error`, and status 1.

    Example: [cyan]radbridge draft --in cases.jsonl --out drafts.jsonl[/]
    """
    with told():
        site = site_of(config)
        lines = read_lines(in_file)
        refuse_same(in_file, out_file)
        failed = asyncio.run(_draft_all(site, model or site.model.url, lines, out_file))
    if failed:
        err.print(f"[yellow]{failed} without a draft[/]: see `error` in {out_file}", highlight=False)
        raise typer.Exit(1)


async def _draft_all(site: Site, url: str, lines: Sequence[Line], out_file: Path) -> int:
    room = asyncio.Semaphore(site.model.concurrency)
    failed = 0
    async with _client(site, url) as client:
        with make_progress() as progress, out_file.open("wb") as sink:
            bar = progress.add_task("drafting", total=len(lines))

            async def one(number: int, line: bytes) -> dict[str, Any]:
                async with room:
                    row = await _draft_line(client, number, line)
                progress.advance(bar)
                return row

            for row in await asyncio.gather(*(one(n, line) for n, line in lines)):
                failed += "error" in row
                sink.write(orjson.dumps(row) + b"\n")
    return failed


@asynccontextmanager
async def _client(site: Site, url: str) -> AsyncIterator[ModelClient]:
    async with AsyncExitStack() as stack:
        if url == "embedded":
            with err.status("loading the embedded model"):
                url = (await stack.enter_async_context(EmbeddedModelServer(site.model))).url
        client = make_model_client(url, BATCH_TIMEOUT_S)
        stack.push_async_callback(client.close)
        yield client


async def _draft_line(client: ModelClient, number: int, line: bytes) -> dict[str, Any]:
    try:
        request = parse_row(REQUEST, line)
    except ValidationError as error:
        return tell_problem(number, line, error)
    try:
        return dict(_answer(await client.draft(request)))
    except ModelError as error:
        return {"id": request.id, "line": number, "error": str(error)}


def _answer(response: DraftResponse) -> Iterator[tuple[str, Any]]:
    yield "id", response.id
    yield "draft", response.draft
    yield "lora", response.lora
    yield "model", response.model
    yield "stage", response.stage
    yield "flags", [asdict(flag) for flag in response.flags]
    yield "fallback", list(response.fallback)
    yield "ms", response.ms
