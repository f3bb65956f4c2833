"""`radbridge check`: whether the config is right and everybody answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, Self

import typer
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Connection

from radbridge.case import CaseKey
from radbridge.cli.common import ConfigOption, err, out, plain, site_of, told
from radbridge.config import Site
from radbridge.config.clear import find_clear
from radbridge.errors import DeliveryError, RadBridgeError
from radbridge.flow.holding import SoleHolder
from radbridge.gateway import make_model_client, make_wires
from radbridge.journal import stores
from radbridge.journal.bells import LocalBells
from radbridge.meter import WireMeter
from radbridge.metrics import Metrics
from radbridge.wire import Bells, Desk, Holder, Item, Operation, Received, Rejected, Result

PING_S = 5.0


def check(config: ConfigOption = None) -> None:
    """Check the whole config, every problem at once, and ping every peer. Starts and changes nothing.

    Status 0: all is well; 1: a peer doesn't answer; 2: the config is wrong.

    Example: [cyan]radbridge check --config site.toml[/]
    """
    with told():
        site = site_of(config)
        results = asyncio.run(_ping_all(site))
    table = Table("part", "", "what")
    for part, problem in results:
        table.add_row(part, "[red]no[/]" if problem else "[green]ok[/]", plain(problem))
    out.print(table)
    for warning in _find_warnings(site):
        err.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False)
    if any(problem for _, problem in results):
        raise typer.Exit(1)


def _find_warnings(site: Site) -> list[str]:
    """What is allowed, and surely not meant."""
    found = find_clear(site)
    if site.store.is_shared and site.model.url == "embedded" and site.model.loras is not None:
        found.append(
            "model.loras is a folder of this machine and store.url is shared: each gateway would draft with its own "
            "LoRAs; set model.url to one model server, or share the folder"
        )
    on_trial = site.training.every and site.training.trial.mode == "canary"
    if on_trial and site.model.url == "embedded" and not site.model.canary_share:
        found.append(
            "training.trial.mode is canary and model.canary_share is 0: no new LoRA would ever write; set a share"
        )
    return found


async def _ping_all(site: Site) -> list[tuple[str, str]]:
    results = [("config", "")]
    if site.store.is_shared:  # a file is made when it is first opened, and here nothing is
        results.append(("store", await _try(lambda: asyncio.to_thread(stores.ask, site.store))))
    for wire in make_wires(site, _NoDesk()):
        for sink in wire.sinks:
            results.append((f"destination {sink.name}", await _try(sink.ping)))
            await sink.close()
        results += [(ping.name, await _try(ping.ask)) for ping in wire.pings]
    if site.model.url == "embedded":
        return [*results, ("model", "")]
    model = make_model_client(site.model.url, PING_S, site.model)

    async def ask() -> None:
        if not await model.ready():
            raise DeliveryError("model", f"{site.model.url}/readyz doesn't say it is ready")

    results.append((f"model {site.model.url}", await _try(ask)))
    await model.close()
    return results


async def _try(ping: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(PING_S):
            await ping()
    except TimeoutError:
        return f"no answer within {PING_S:g} s"
    except RadBridgeError as error:
        return str(error)
    return ""


class _NoDesk(Desk):
    """For wires that are made but never started. It is its own store."""

    @property
    def store(self) -> Self:
        return self

    @property
    def bells(self) -> Bells:
        return LocalBells()

    @property
    def holder(self) -> Holder:
        return SoleHolder()

    @property
    def meter(self) -> WireMeter:
        return Metrics()

    def put(self, received: Received) -> NoReturn:
        raise _NOTHING

    async def outcome_of(self, message_id: int, *, at_most_s: float) -> NoReturn:
        raise _NOTHING

    async def keep_reply(self, message_id: int, reply: bytes) -> NoReturn:
        raise _NOTHING

    async def accept(self, received: Received) -> NoReturn:
        raise _NOTHING

    async def reject(self, rejected: Rejected) -> NoReturn:
        raise _NOTHING

    async def commit(self, operation: Operation[Item, Result], item: Item) -> NoReturn:
        raise _NOTHING

    def count(self, wire: str, kind: str, outcome: str) -> NoReturn:
        raise _NOTHING

    async def draft_of(self, key: CaseKey, findings_digest: str, *, at_most_s: float) -> NoReturn:
        raise _NOTHING

    async def read(self, query: Callable[[Connection], Result]) -> NoReturn:
        raise _NOTHING

    def read_now(self, query: Callable[[Connection], Result]) -> NoReturn:
        raise _NOTHING

    async def write(self, operation: Operation[Item, Result], item: Item) -> NoReturn:
        raise _NOTHING

    async def write_first(self, operation: Operation[Item, Result], item: Item) -> NoReturn:
        raise _NOTHING


_NOTHING = RadBridgeError("nothing is taken in during a check")
