"""`radbridge demo`."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.status import Status
from rich.text import Text

from radbridge.config import split_address
from radbridge.journal.stores import open_store
from radbridge_adapters.demo.dictation import Arrival, Dictation
from radbridge_adapters.demo.play import Play, Played, Step
from radbridge_adapters.demo.process import DemoFailed, DemoGateway
from radbridge_adapters.demo.ris import Ris
from radbridge_adapters.demo.script import Script, load_script
from radbridge_adapters.demo.show import show_arrival, show_case
from radbridge_adapters.hl7v2 import MllpClient

PAUSE_S = 5.0
"""Between two cases, so that a reader keeps up."""
EXPORT_S, EXPORT_AGAIN_S = 60.0, 0.5
"""How long the export may take to have its row, and how often it is tried."""
WIDTH = 120
"""Columns where the output is no terminal."""
INTERRUPTED = 130
"""The status of a case that was not played to its end."""
EXAMPLE = 99999
"""The number of the example that the user may send."""


def demo(
    once: Annotated[bool, typer.Option("--once", help="Play one case; status 0 only if every step was seen.")] = False,  # noqa: FBT002 - a flag
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Work in this folder and keep it; else in a temporary one.")
    ] = None,
) -> None:
    """Play made-up cases end to end over real sockets: order, dictated report, draft, edit, signed report, example.

    Example: [cyan]radbridge demo --once[/]
    """
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    folder = keep or Path(tempfile.mkdtemp(prefix="radbridge-demo-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(_Stage(console, folder.resolve()).run(once=once))
    except DemoFailed as error:
        console.print("[bold red]The demo failed.[/]", Text(str(error)))
        console.print(f"The gateway's log and journal are in {folder}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("stopped")
        if once:
            raise typer.Exit(INTERRUPTED) from None
    if keep is None:
        shutil.rmtree(folder, ignore_errors=True)


class _Stage:
    """Everybody on it: the gateway, the RIS, the dictation software, and what is printed meanwhile."""

    def __init__(self, console: Console, folder: Path) -> None:
        self._console = console
        self._folder = folder
        self._script = load_script()
        self._status: Status | None = None

    async def run(self, *, once: bool) -> None:
        """Play one case, or cases until cancelled. Raises DemoFailed."""
        me = asyncio.current_task()
        if me is not None and sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
        async with AsyncExitStack() as stack:
            self._status = stack.enter_context(self._console.status("preparing"))
            dictation = await stack.enter_async_context(Dictation(self._tell_stray))
            gateway = await stack.enter_async_context(
                DemoGateway(self._folder, self._script, dictation.port, self._say)
            )
            client = MllpClient(*split_address(gateway.addresses["hl7v2"]), 30.0, name="RadBridge")
            stack.push_async_callback(client.close)
            stores = open_store(gateway.store)
            stack.callback(stores.dispose)
            self._introduce(gateway, dictation)
            play = Play(client, dictation, stores, self._tell_step)
            for ris in _programme(self._script):
                await self._play(play, Played(ris=ris))
                if once:
                    await self._export(gateway)
                    return
                self._say("next case in a moment; Ctrl-C ends the demo")
                await asyncio.sleep(PAUSE_S)

    async def _play(self, play: Play, played: Played) -> None:
        self._say(f"playing {played.ris.case.slug}")
        try:
            await play.run(played)
        finally:
            self._console.print(show_case(played, colour=self._console.is_terminal))

    async def _export(self, gateway: DemoGateway) -> None:
        """The example as training gets it, through the operator's own command."""
        self._say("exporting the training example")
        rows: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(EXPORT_S):
                while not rows:  # the signed report has to be scrubbed first
                    await asyncio.sleep(EXPORT_AGAIN_S)
                    rows = await self._read_edits(gateway)
        except TimeoutError:
            raise DemoFailed(f"missing step: `radbridge edits` gave no row within {EXPORT_S:g} s") from None
        shown = {
            name: rows[0][name] for name in ("radiologist", "outcome", "distance", "lora", "modality", "sex", "age")
        }
        self._console.print("[bold]radbridge edits[/] exports the de-identified example:", shown)
        self._console.print("[bold green]Every step was seen on the wire.[/]")

    async def _read_edits(self, gateway: DemoGateway) -> list[dict[str, Any]]:
        out = self._folder / "edits.jsonl"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "radbridge", "edits", "--out", str(out), "--config", str(gateway.config)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        if process.returncode:
            raise DemoFailed(f"missing step: `radbridge edits` failed. {said.decode(errors='replace')}")
        return [json.loads(line) for line in out.read_text().splitlines()]

    def _introduce(self, gateway: DemoGateway, dictation: Dictation) -> None:
        example = self._folder / "example.hl7"
        example.write_bytes(
            Ris(case=self._script.cases[1], signer=self._script.radiologists[0], number=EXAMPLE).dictate()
        )
        hl7, http = gateway.addresses["hl7v2"], gateway.addresses["http"]
        for line in (
            f"[bold]HL7 v2[/] (MLLP) listens on {hl7}",
            f"[bold]drafts[/] go to the demo's dictation software on 127.0.0.1:{dictation.port} and are printed here",
            f"[bold]health and metrics[/] http://{http}/readyz http://{http}/metrics",
            f"[bold]your own message[/] radbridge send {example} --to {hl7}",
            f"[bold]look inside[/] radbridge cases --config {gateway.config}",
        ):
            self._console.print(line, highlight=False, soft_wrap=True)

    def _say(self, what: str) -> None:
        if self._status is not None:
            self._status.update(what)
        if not self._console.is_terminal:
            self._console.print(f"{what} …", highlight=False)

    def _tell_step(self, step: Step) -> None:
        if self._console.is_terminal:
            self._say(f"{step.at_s:7.3f} s  {step.source} → {step.target}: {step.what}")

    def _tell_stray(self, arrival: Arrival) -> None:
        if arrival.status == "R":
            self._console.print(show_arrival(arrival))


def _programme(script: Script) -> Iterator[Ris]:
    """Cases without end: the first round as written, then shuffled and with the radiologists taking turns."""
    signers, chance = script.radiologists, random.Random(7)
    numbers = count(1)
    for case in script.cases:
        yield Ris(case=case, signer=script.radiologist(case), number=next(numbers))
    while True:
        for case in chance.sample(script.cases, len(script.cases)):
            number = next(numbers)
            yield Ris(case=case, signer=signers[number % len(signers)], number=number)
