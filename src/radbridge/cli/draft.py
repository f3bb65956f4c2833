"""`radbridge draft`: a batch of cases through the model server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from radbridge.cli.common import ConfigOption, err, site_of, told
from radbridge.config import Site
from radbridge.contract import REQUEST, DraftRequest, DraftResponse
from radbridge.embedded import EmbeddedModelServer
from radbridge.errors import ConfigError, ModelError
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
        if not in_file.is_file():
            raise ConfigError([f"--in: there is no file {in_file}"])
        lines = [line for line in in_file.read_bytes().splitlines() if line.strip()]
        failed = asyncio.run(_draft_all(site, model or site.model.url, lines, out_file))
    if failed:
        err.print(f"[yellow]{failed} without a draft[/]: see `error` in {out_file}", highlight=False)
        raise typer.Exit(1)


async def _draft_all(site: Site, url: str, lines: Sequence[bytes], out_file: Path) -> int:
    room = asyncio.Semaphore(site.model.concurrency)
    failed = 0
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    async with _client(site, url) as client:
        with Progress(*columns, console=err) as progress, out_file.open("wb") as sink:
            bar = progress.add_task("drafting", total=len(lines))

            async def one(number: int, line: bytes) -> dict[str, Any]:
                async with room:
                    row = await _draft_line(client, number, line)
                progress.advance(bar)
                return row

            for row in await asyncio.gather(*(one(n, line) for n, line in enumerate(lines, 1))):
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
        request = _request(line)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'line'}: {e['msg']}" for e in error.errors())
        return {"id": "", "line": number, "error": problems}
    try:
        return dict(_answer(await client.draft(request)))
    except ModelError as error:
        return {"id": request.id, "line": number, "error": str(error)}


def _request(line: bytes) -> DraftRequest:
    """A line as a request: `null` means not known, and a number will do for an id."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return REQUEST.validate_json(line)  # says where the JSON breaks
    if isinstance(row, dict):
        row = {k: v for k, v in row.items() if v is not None}
        if isinstance(row.get("id"), int):
            row["id"] = str(row["id"])
    return REQUEST.validate_python(row)


def _answer(response: DraftResponse) -> Iterator[tuple[str, Any]]:
    yield "id", response.id
    yield "draft", response.draft
    yield "lora", response.lora
    yield "model", response.model
    yield "stage", response.stage
    yield "flags", [{"kind": f.kind, "severity": f.severity, "message": f.message} for f in response.flags]
    yield "fallback", list(response.fallback)
    yield "ms", response.ms
