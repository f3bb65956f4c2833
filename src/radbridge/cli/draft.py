"""`radbridge draft`: a batch of cases through the model server."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from radbridge.cli.common import ConfigOption, err, site_of, told
from radbridge.cli.rows import Line, Lines, make_progress, parse_line, refuse_same, tell_problem
from radbridge.config import Memory, Site
from radbridge.contract import REQUEST, DraftRequest, DraftResponse, TaskName
from radbridge.embedded import EmbeddedModelServer
from radbridge.errors import ConfigError, ModelError
from radbridge.evaluation.cost import Cost, write_cost
from radbridge.evaluation.metering import Meter
from radbridge.flow.drafting import ModelClient
from radbridge.gateway import make_model_client
from radbridge.memory.batch import FileMemory

BATCH_TIMEOUT_S = 120.0
"""A batch has no radiologist waiting: a draft may take its time."""
AHEAD = 4
"""Lines that are read for each draft at work: a slow one holds up few others, and a long file is never in memory."""


def draft(
    *,
    in_file: Annotated[
        Path,
        typer.Option("--in", help="JSON lines: id, findings, indication, comparison, modality, sex, age, radiologist."),
    ],
    out_file: Annotated[Path, typer.Option("--out", help="JSON lines to write: id, draft, lora, model, flags, ms.")],
    config: ConfigOption = None,
    model: Annotated[
        str, typer.Option("--model", help="The model server's URL, or `embedded`; else the config's.")
    ] = "",
    memory: Annotated[
        Path | None,
        typer.Option(help="JSON lines of signed reports: findings, impression; id and radiologist if known."),
    ] = None,
    task: Annotated[
        TaskName | None, typer.Option(help="What to write; expand: findings from an impression or from key phrases.")
    ] = None,
    cost: Annotated[
        Path | None, typer.Option(help="JSON to write: time, and of an embedded server CPU, memory and energy.")
    ] = None,
) -> None:
    """Draft a batch of cases through the model server. A bad line becomes a row with an `error`, and status 1.

    With `--memory` a case is drafted beside what its radiologist signed before, de-identified, and never beside its
    own report; `[memory]` in the config says how many.

    Example: [cyan]radbridge draft --in cases.jsonl --out drafts.jsonl --memory signed.jsonl[/]
    """
    with told():
        site = site_of(config)
        lines = Lines(in_file)
        for file in filter(None, (in_file, memory)):
            refuse_same(file, out_file)
        batch = Batch(task=task, settings=site.memory, memory=FileMemory(memory) if memory else None)
        url = model or site.model.url
        meter = Meter(os.getpid() if cost and url == "embedded" else None)
        failed = asyncio.run(_draft_all(site, url, lines, out_file, batch, meter))
        if cost:
            _write_cost(cost, meter.tell(len(lines) - failed))
    if batch.alone:
        err.print(
            f"[yellow]{batch.alone} without an example[/]: no signed report of their radiologist", highlight=False
        )
    if failed:
        err.print(f"[yellow]{failed} without a draft[/]: see `error` in {out_file}", highlight=False)
        raise typer.Exit(1)


def _write_cost(file: Path, cost: Cost) -> None:
    try:
        write_cost(file, cost)
    except OSError as error:
        raise ConfigError([f"--cost: {file}: {error.strerror}"]) from None


@dataclass(kw_only=True, slots=True)
class Batch:
    """What all requests of a batch have in common."""

    task: TaskName | None
    settings: Memory
    memory: FileMemory | None
    alone: int = 0
    """Requests that the memory had nothing for."""

    def complete(self, request: DraftRequest) -> DraftRequest:
        """The request with the task, and with examples where the row has none of its own."""
        if self.task is not None:
            request = replace(request, task=self.task)
        if self.memory is None or request.examples:
            return request
        examples = self.memory.examples(
            id=request.id,
            radiologist=request.radiologist,
            findings=request.findings,
            alike=self.settings.alike,
            newest=self.settings.newest,
        )
        self.alone += not examples
        return replace(request, examples=examples, memory=self.memory.version)


async def _draft_all(  # noqa: PLR0917 - one caller, in order
    site: Site, url: str, lines: Lines, out_file: Path, batch: Batch, meter: Meter
) -> int:
    """Write a row for each line, in the order of the lines; how many have no draft."""
    room, failed = asyncio.Semaphore(site.model.concurrency), 0
    under_way: deque[asyncio.Task[dict[str, Any]]] = deque()
    async with _client(site, url) as client:
        with make_progress() as progress, out_file.open("wb") as sink, meter:
            bar = progress.add_task("drafting", total=len(lines))

            async def one(line: Line) -> dict[str, Any]:
                async with room:
                    row = await _draft_line(client, line, batch)
                progress.advance(bar)
                return row

            async def write_first() -> bool:
                row = await under_way.popleft()
                sink.write(orjson.dumps(row) + b"\n")
                return "error" in row

            for line in lines:
                under_way.append(asyncio.create_task(one(line)))
                if len(under_way) == AHEAD * site.model.concurrency:
                    failed += await write_first()
            while under_way:
                failed += await write_first()
    return failed


@asynccontextmanager
async def _client(site: Site, url: str) -> AsyncIterator[ModelClient]:
    async with AsyncExitStack() as stack:
        if url == "embedded":
            with err.status("loading the embedded model"):
                url = (await stack.enter_async_context(EmbeddedModelServer(site.model))).url
        client = make_model_client(url, BATCH_TIMEOUT_S, site.model)
        stack.push_async_callback(client.close)
        yield client


async def _draft_line(client: ModelClient, line: Line, batch: Batch) -> dict[str, Any]:
    try:
        request = batch.complete(parse_line(REQUEST, line))
    except ValueError as error:
        return tell_problem(line, error)
    try:
        return dict(_answer(await client.draft(request)))
    except ModelError as error:
        return {"id": request.id, "line": line.number, "error": str(error)}


def _answer(response: DraftResponse) -> Iterator[tuple[str, Any]]:
    yield "id", response.id
    yield "draft", response.draft
    yield "lora", response.lora
    yield "model", response.model
    yield "strategy", response.strategy
    yield "stage", response.stage
    yield "coarse_lora", response.coarse_lora
    yield "asked", response.asked
    yield "prompt_version", response.prompt_version
    yield "examples", list(response.examples)
    yield "flags", [asdict(flag) for flag in response.flags]
    yield "fallback", list(response.fallback)
    yield "ms", response.ms
