"""`radbridge import`: signed reports of before there was a RadBridge."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from radbridge import logs
from radbridge.cli.common import ConfigOption, err, out, site_of, told
from radbridge.cli.rows import make_progress
from radbridge.config import Site, check_training
from radbridge.errors import ConfigError
from radbridge.flow.history import History, Importer, Reader, Taken, read_history
from radbridge.flow.importing import WIRE, translate_row
from radbridge.flow.intake import JournalIntake
from radbridge.flow.personas import choose_personas, known_personas
from radbridge.flow.process import Processor
from radbridge.flow.remembering import Rememberer
from radbridge.gateway import make_wires
from radbridge.journal import Journal, secrets
from radbridge.jsonl import Faults
from radbridge.metrics import Metrics


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an import came to."""

    taken: Mapping[Taken, int]
    remembered: int
    """Reports in the style memory, those of before included."""
    personas: Mapping[str, str]
    unnamed: int
    """Signed reports that don't say what their patient is called."""


def import_reports(
    source: Annotated[Path, typer.Argument(help="A file of JSON lines or of HL7 messages, or a folder of them.")],
    config: ConfigOption = None,
    radiologist: Annotated[str, typer.Option(help="The key under which JSON lines name their signer.")] = "radiologist",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out what can't be read, and go on.")] = False,
    train: Annotated[bool, typer.Option("--train", help="Begin a training turn afterwards.")] = False,
) -> None:
    """Take in reports that were signed before: they fill the style memory and choose each radiologist's persona.

    Nothing is drafted or sent. Reports that are there already stay as they are. It may run beside a gateway.

    Example: [cyan]radbridge import reports.jsonl --train --config site.toml[/]
    """
    with told():
        site = site_of(config)
        if problems := _find_problems(site, train=train):
            raise ConfigError(problems)
        logs.configure(level="error", format=site.log.format)
        faults = Faults(skip=skip_bad)
        imported = asyncio.run(_import(site, source, radiologist, faults))
    _tell(imported, faults)
    if train:
        _train(config)
    if imported.taken[Taken.FAILED]:
        raise typer.Exit(1)


def _find_problems(site: Site, *, train: bool) -> list[str]:
    if train:
        return check_training(site)
    return [] if site.memory.enabled else ["memory: imported reports are for the style memory: set enabled = true"]


async def _import(site: Site, source: Path, radiologist: str, faults: Faults) -> Imported:
    async with AsyncExitStack() as stack:
        journal = await Journal.open(site.store, encryption=site.encryption)
        stack.push_async_callback(journal.close)
        for name in (secrets.PSEUDONYMS, secrets.CASES):
            await journal.write(secrets.make, name)
        metrics = Metrics()
        wires = make_wires(site, JournalIntake(journal, metrics, lambda: None))
        for sink in (sink for wire in wires for sink in wire.sinks):
            stack.push_async_callback(sink.close)
        with err.status("reading"):
            reader = Reader(wires, radiologist=radiologist, personas=known_personas(site))
            history = read_history(reader, source, faults)
        translators = {wire.name: wire.translate for wire in wires} | {WIRE: translate_row}
        processor = Processor(journal, translators, settle_s=0.0, metrics=metrics, on_change=lambda: None, drafts=False)
        taken = await _take(history, Importer(journal, processor))
        rememberer = Rememberer(
            journal,
            translators=translators,
            settings=site.memory,
            secret=await journal.read(partial(secrets.read, name=secrets.PSEUDONYMS)),
            metrics=metrics,
        )
        with err.status("taking patients out of the texts"):
            remembered = await rememberer.remember_all()
        personas = await journal.read(partial(choose_personas, site=site, said=history.personas))
        return Imported(taken=taken, remembered=remembered, personas=personas, unnamed=history.unnamed)


async def _take(history: History, importer: Importer) -> Counter[Taken]:
    taken: Counter[Taken] = Counter()
    with make_progress() as progress:
        bar = progress.add_task("importing", total=history.count)
        for batch in history.batches():
            taken.update(await importer.take(batch))
            progress.advance(bar, len(batch))
    return taken


def _tell(imported: Imported, faults: Faults) -> None:
    table = Table("messages", "")
    table.add_row("new", str(imported.taken[Taken.NEW]))
    table.add_row("known before", str(imported.taken[Taken.KNOWN]))
    table.add_row("not applied", str(imported.taken[Taken.FAILED]))
    table.add_row("not read", str(faults.count))
    table.add_row("reports in the memory", str(imported.remembered))
    for owner, count in sorted(Counter(imported.personas.values()).items()):
        table.add_row(f"radiologists nearest to {owner}", str(count))
    out.print(table)
    if imported.unnamed:
        err.print(
            f"[yellow]{imported.unnamed} reports don't name their patient:[/] names in their texts are found by what "
            "stands around them alone; give rows a [bold]patient_name[/], which goes into no text",
            highlight=False,
        )
    for fault in faults.told:
        err.print(f"[yellow]left out:[/] {escape(str(fault))}", highlight=False)


def _train(config: Path | None) -> None:
    """A turn in a process of its own: training is a room that needn't be installed where reports are imported."""
    chosen = ("--config", str(config)) if config else ()
    status = subprocess.run((sys.executable, "-m", "radbridge", "train", "run", *chosen), check=False).returncode  # noqa: S603 - our own command
    if status:
        raise typer.Exit(status)
