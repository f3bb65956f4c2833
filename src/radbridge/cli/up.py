"""`radbridge up`: run the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from pathlib import Path

import structlog
import typer

from radbridge import logs
from radbridge.cli.common import ConfigOption, err, site_of, told
from radbridge.config import Site
from radbridge.config.clear import find_clear
from radbridge.entities import load_lexicon
from radbridge.gateway import Gateway

log = structlog.get_logger(__name__)

SWITCH_INTERVAL_S = 0.0005
"""The journal's thread lets go of the interpreter at every statement and gets it back after this at the latest. With
Python's 5 ms a busy event loop would stretch one commit to tens of milliseconds."""

GARBAGE_FIRST = 20_000
"""Objects that are made before Python looks for circles among them. With its 700 it looked for a tenth of a burst."""


def up(config: ConfigOption = None) -> None:
    """Run the gateway (and, with [cyan]model.url = "embedded"[/], the model server) until SIGTERM or Ctrl-C.

    Example: [cyan]radbridge up --config site.toml[/]
    """
    with told():
        site = site_of(config)
        logs.configure(level=site.log.level, format=site.log.format)
        for warning in find_clear(site):
            log.warning("in clear", hint=warning)
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        if sys.platform == "win32":
            asyncio.run(_run(site, config))
        else:
            import uvloop

            uvloop.run(_run(site, config))


async def _run(site: Site, config: Path | None) -> None:
    stop = asyncio.Event()
    load_lexicon()  # the first message would hold up all ACKs for a quarter of a second
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Gateway(site, config=config) as gateway:
        for name, address in sorted(gateway.addresses.items()):
            err.print(f"[bold]{name}[/] listens on {address}", highlight=False)
        _keep_what_is_loaded()
        log.info("up", listeners=dict(gateway.addresses))
        work = asyncio.create_task(gateway.serve())
        tell = asyncio.create_task(_tell_ready(gateway))
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        failed = work.done()
        for task in (tell, waiting, work):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(tell, waiting, return_exceptions=True)
            await work
        log.info("down", failed=failed)
    if failed:
        raise typer.Exit(1)


def _keep_what_is_loaded() -> None:
    """Look for garbage among what comes from now on: modules and tables stay, and to look through them takes 0.1 s."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_FIRST)


async def _tell_ready(gateway: Gateway) -> None:
    with err.status("loading the model; messages are already taken in"):
        while not all((await gateway.readiness()).values()):  # noqa: ASYNC110 - the model's server is asked, it rings nobody
            await asyncio.sleep(0.25)
    err.print("[green]ready[/]: dictated reports are drafted", highlight=False)
