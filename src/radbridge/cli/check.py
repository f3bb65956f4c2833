"""`radbridge check`: whether the config is right, everything that `up` opens can be opened, and everybody answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import typer
from rich.markup import escape
from rich.table import Table

from radbridge.cli.common import ConfigOption, err, out, plain, site_of, told
from radbridge.cli.no_desk import NoDesk
from radbridge.config import Site
from radbridge.config.clear import find_clear
from radbridge.config.files import OTHERS, NamedFile, find_files
from radbridge.config.values import split_address
from radbridge.errors import ConfigError, DeliveryError, RadBridgeError
from radbridge.gateway import plugins
from radbridge.journal import keys, stores
from radbridge.wire import Listener, Ping

PING_S = 5.0


def check(config: ConfigOption = None) -> None:
    """Check the whole config, open every file that it names, and ask everybody. Starts and changes nothing.

    Run it as the account that the gateway runs as: what that may read is what counts.

    Status 0: all is well; 1: somebody doesn't answer; 2: the config is wrong, or a file of it.

    Example: [cyan]radbridge check --config site.toml[/]
    """
    with told():
        site = site_of(config)
        rows = asyncio.run(_try_all(site))
    table = Table("part", "", "what")
    for row in rows:
        table.add_row(plain(row.part), "[red]no[/]" if row.problem else "[green]ok[/]", plain(row.problem))
    out.print(table)
    for warning in _find_warnings(site, config):
        err.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False)
    if any(row.problem for row in rows):
        raise typer.Exit(2 if any(row.is_config for row in rows) else 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What came of one part."""

    part: str
    problem: str = ""
    is_config: bool = False
    """Whether the site's own files are at fault."""


@runtime_checkable
class Pinging(Protocol):
    """A listener that can say what has to answer before it may be started."""

    @property
    def pings(self) -> Sequence[Ping]: ...


async def _try_all(site: Site) -> list[Row]:
    """Every file, then everybody at once: however many don't answer, it takes no longer than for one."""
    async with AsyncExitStack() as stack:
        parts = _Parts(site, stack)
        parts.collect()
        return [Row(part="config"), *map(_read, find_files(site)), *parts.faults, *await _ask_all(parts.pings)]


class _Parts:
    """What a gateway of this site is made of, as far as it can be tried without starting anything."""

    def __init__(self, site: Site, stack: AsyncExitStack) -> None:
        """What is made is closed by `stack`."""
        self._site = site
        self._stack = stack
        self._desk = NoDesk()
        self.pings: list[Ping] = []
        self.faults: list[Row] = []
        """Of parts that couldn't even be made."""

    def collect(self) -> None:
        """Make them all."""
        self._add("store", self._look_at_store)
        if self._site.encryption.is_on:
            self._add("encryption", self._try_key)
        with self._making("wires"):
            for name, make in plugins.load_entry_points("radbridge.adapters").items():
                with self._making(f"wire {name}"):
                    wire = make(self._site, self._desk)
                    for sink in wire.sinks:
                        self._stack.push_async_callback(sink.close)
                        self._add(f"destination {sink.name}", sink.ping)
                    self.pings += wire.pings
                    self._add_listeners(name, wire.listeners)
        with self._making("http"):
            for name, make in plugins.load_entry_points("radbridge.http").items():
                listener = make(self._site, self._desk)
                self._add_listeners(name, [listener], is_http=True)
                self.pings += listener.pings if isinstance(listener, Pinging) else ()
        self._add_traces()
        self._add_model()

    def _add(self, part: str, ask: Callable[[], Awaitable[None]]) -> None:
        self.pings.append(Ping(name=part, ask=ask))

    def _add_listeners(self, name: str, listeners: Sequence[Listener], *, is_http: bool = False) -> None:
        """HTTP has one address and takes IPv4 of a name, where the others take all that it has."""
        for listener in listeners:
            host = split_address(listener.address)[0]
            family = socket.AF_INET if is_http and ":" not in host else socket.AF_UNSPEC
            self._add(f"{name}.listen", partial(_bind, host, family))

    @contextmanager
    def _making(self, part: str) -> Iterator[None]:
        try:
            yield
        except ConfigError as error:
            self.faults += [Row(part=part, problem=problem, is_config=True) for problem in error.problems]

    def _add_traces(self) -> None:
        settings = self._site.traces
        if settings.endpoint is None:
            return
        with self._making("traces"):
            tracer = plugins.load_entry_points("radbridge.tracers")["otlp"](settings, "check")
            self._stack.push_async_callback(tracer.close)
            self._add(f"traces {settings.endpoint}", tracer.ping)

    def _add_model(self) -> None:
        settings = self._site.model
        if settings.url == "embedded":
            return
        with self._making("model"):
            model = plugins.make_model_client(settings.url, PING_S, settings)
            self._stack.push_async_callback(model.close)

            async def ask() -> None:
                if not await model.ready():
                    raise DeliveryError("model", f"{settings.url}/readyz doesn't say it is ready")

            self._add(f"model {settings.url}", ask)

    async def _look_at_store(self) -> None:
        there = await asyncio.to_thread(stores.look, self._site.store)
        if not self._site.encryption.is_on:
            keys.check(self._site.encryption, there)

    async def _try_key(self) -> None:
        there: list[keys.DataKey] = []
        with suppress(RadBridgeError, TimeoutError):  # told in the row of the store
            async with asyncio.timeout(PING_S):
                there = await asyncio.to_thread(stores.look, self._site.store)
        await asyncio.to_thread(keys.check, self._site.encryption, there)


async def _bind(host: str, family: int) -> None:
    """Raise ConfigError unless a listener can have an address of this machine; the port may be a gateway's already."""
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(asyncio.Protocol, host, 0, family=family, start_serving=False)
    except OSError as error:
        raise ConfigError([f"nothing can listen on {host} here: {error.strerror}"]) from None
    server.close()


def _read(file: NamedFile) -> Row:
    problem = ""
    try:
        if not file.path.read_bytes().strip():
            problem = f"{file.path} is empty"
    except OSError as error:
        problem = f"{file.path} can't be read: {error.strerror}"
    return Row(part=file.key, problem=problem, is_config=bool(problem))


async def _ask_all(pings: Sequence[Ping]) -> list[Row]:
    waiting = dict.fromkeys(ping.name for ping in pings)
    with err.status("") as status:

        async def ask(ping: Ping) -> Row:
            row = await _ask(ping)
            waiting.pop(ping.name, None)
            status.update(f"waiting for {escape(', '.join(waiting))}")
            return row

        return await asyncio.gather(*map(ask, pings))


async def _ask(ping: Ping) -> Row:
    within_s = None if ping.name == "encryption" else PING_S  # a key service has its own limit, for each of the keys
    try:
        async with asyncio.timeout(within_s):
            await ping.ask()
    except TimeoutError:
        return Row(part=ping.name, problem=f"no answer within {PING_S:g} s")
    except RadBridgeError as error:
        return Row(part=ping.name, problem=str(error), is_config=isinstance(error, ConfigError))
    return Row(part=ping.name)


def _find_warnings(site: Site, config: Path | None) -> list[str]:
    """What is allowed, and surely not meant."""
    found = [*find_clear(site), *_find_readable(site, config)]
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


def _find_readable(site: Site, config: Path | None) -> Iterator[str]:
    """Files with secrets or patients in them that are open to others than their owner and group."""
    private = dict.fromkeys(site.store.files, "store.url")
    if config is not None and site.fhircast.hubs:
        private[config] = "fhircast.hubs.topic"
    for file in find_files(site):
        if file.is_secret:
            private.setdefault(file.path, file.key)
    for path, key in private.items():
        with suppress(OSError):  # one that can't be looked at is told above, where it has to be there
            mode = path.stat().st_mode & 0o777
            if mode & OTHERS:
                yield f"{key}: {path} has mode {mode:o} and is open to others: chmod {mode & ~OTHERS:o} {path}"
