"""A replay: messages of a journal once more, into a journal of their own, where nothing real can be reached.

Each message is followed to its end before the next one is taken in: applied, drafted, delivered into a folder.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter

from sqlalchemy import Connection, bindparam, func, select

from radbridge.audit import Subject
from radbridge.coarse import draft_coarse
from radbridge.config import Site
from radbridge.contract import DraftRequest, DraftResponse
from radbridge.draft import Stage
from radbridge.errors import ConfigError, SandboxBreach
from radbridge.flow.applying import Translate
from radbridge.flow.courier import Courier
from radbridge.flow.delivery import MAX_ATTEMPTS
from radbridge.flow.drafting import Drafter, ModelClient
from radbridge.flow.folder_sink import FolderSink
from radbridge.flow.importing import WIRE as IMPORTED
from radbridge.flow.importing import translate_row
from radbridge.flow.intake import JournalIntake
from radbridge.flow.judging import Judge
from radbridge.flow.process import Processor
from radbridge.flow.wake import Alarm
from radbridge.guard.policy import GuardPolicy
from radbridge.journal import Journal, messages, secrets
from radbridge.journal.schema import DeliveryState, MessageState, deliveries, draft_requests
from radbridge.journal.schema import messages as table
from radbridge.metrics import Metrics
from radbridge.prompt import PROMPT_VERSION
from radbridge.wire import Desk, Received, Wire

JOURNAL = "radbridge.db"
LOOK_S = 0.02
"""How often it is looked whether a message has come to its end, where nothing was heard."""
_TOLD = (
    select(table)
    .where(
        table.c.received_at >= bindparam("since"),
        table.c.received_at < bindparam("until"),
        table.c.state != MessageState.REJECTED,
    )
    .order_by(table.c.id)
)
_SUBJECTS = _TOLD.with_only_columns(table.c.accession, table.c.touches).order_by(None).distinct()
_LEFT = (
    select(func.count()).select_from(table).where(table.c.state == MessageState.ACCEPTED),
    select(func.count()).select_from(draft_requests),
    select(func.count()).select_from(deliveries).where(deliveries.c.state == DeliveryState.PENDING),
)
_ENDS = select(table.c.state, func.count()).group_by(table.c.state)

_FORBIDDEN = frozenset(
    "socket.bind socket.sendto socket.sendmsg subprocess.Popen os.system os.exec os.posix_spawn os.fork".split()
)
"""Audit events of what a replay never has to do."""

MakeWires = Callable[[Site, Desk], Sequence[Wire]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Which messages."""

    since: datetime
    until: datetime
    accession: str = ""
    """Of this case alone; empty: of all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What a replay came to."""

    ends: Counter[str]
    """Messages by how they ended."""
    payloads: int
    """Files that were written."""


class CoarseModel:
    """The impression that the findings state by themselves: drafts without a model server. A `ModelClient`."""

    async def draft(self, request: DraftRequest) -> DraftResponse:
        """In a thread: it takes some milliseconds."""
        began = perf_counter()
        coarse = await asyncio.to_thread(
            draft_coarse,
            request.findings,
            indication=request.indication,
            comparison=request.comparison,
            modality=request.modality,
            sex=request.sex,
            age=request.age,
        )
        return DraftResponse(
            id=request.id,
            draft=coarse.text,
            lora="",
            model="coarse",
            base_digest="",
            prompt_version=PROMPT_VERSION,
            stage=Stage.COARSE,
            ms=(perf_counter() - began) * 1000,
        )

    async def prefetch(self, radiologist: str) -> None:
        """There is nothing to load."""

    async def ready(self) -> bool:
        """Always."""
        return True

    async def close(self) -> None:
        """There is nothing to close."""


def read_told(conn: Connection, span: Span) -> list[Received]:
    """The messages of a journal that are to be replayed, in order of arrival."""
    rows = conn.execute(_TOLD, {"since": span.since, "until": span.until})
    return [
        Received(
            wire=row.wire,
            peer=row.peer,
            sender=row.sender_key.rpartition("\x1f")[0],
            control_id=row.sender_key.rpartition("\x1f")[2],
            kind=row.kind,
            accession=row.accession,
            raw=row.raw,
            ack=row.ack,
            urgent=row.urgent,
            touches=messages.split_touches(row.touches),
        )
        for row in rows
        if span.accession in ("", row.accession)
    ]


def subjects(conn: Connection, span: Span) -> list[Subject]:
    """Whose messages these are, for the trail."""
    rows = conn.execute(_SUBJECTS, {"since": span.since, "until": span.until})
    return [
        subject
        for row in rows
        if span.accession in ("", row.accession)
        for subject in messages.subjects_of(row.accession, messages.split_touches(row.touches))
    ]


def make_folder(folder: Path) -> None:
    """The folder of a replay, which its owner alone may read: it holds PHI. Raises ConfigError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError([f"{folder}: not empty; a replay needs a folder of its own"])
        folder.chmod(0o700)
    except OSError as error:
        raise ConfigError([f"{folder}: {error.strerror}"]) from None


def shut_in(allowed: tuple[str, int] | None) -> None:
    """From now on this process reaches nobody but `allowed`, a host and a port. There is no way back.

    What tries it gets SandboxBreach, whatever library it comes from.
    """
    known = {allowed} if allowed else set()
    if allowed:
        with suppress(OSError):  # looked up now: afterwards no name is. The stubs leave out what AF_INET6 adds
            known |= {info[4][:2] for info in socket.getaddrinfo(*allowed, type=socket.SOCK_STREAM)}  # type: ignore[misc]
    hosts = {host for host, _ in known}

    def watch(event: str, args: tuple[object, ...]) -> None:
        if event == "socket.connect":
            address = args[1]
            if not isinstance(address, tuple) or address[:2] not in known:
                raise SandboxBreach
        elif event == "socket.getaddrinfo":
            if args[0] not in hosts:
                raise SandboxBreach
        elif event in _FORBIDDEN:
            raise SandboxBreach

    sys.addaudithook(watch)


class Replay:
    """One replay, into a folder that `make_folder` made."""

    def __init__(self, site: Site, folder: Path, *, make_wires: MakeWires, model: ModelClient) -> None:
        """`make_wires` gives the site's wires; nothing of them is started, and their sinks only compose."""
        self._site = site
        self._folder = folder
        self._make_wires = make_wires
        self._model = model
        self._moved = Alarm()

    async def run(self, told: Sequence[Received], *, on_message: Callable[[], None] = lambda: None) -> Replayed:
        """Take messages in, one after the other, each followed to its end. Raises JournalError."""
        async with AsyncExitStack() as stack:
            journal = await Journal.open(f"sqlite:///{self._folder}/{JOURNAL}")
            stack.push_async_callback(journal.close)
            for name in (secrets.SANDBOX, secrets.PSEUDONYMS, secrets.CASES):
                await journal.write(secrets.make, name)
            metrics = Metrics()
            intake = JournalIntake(journal, metrics, lambda: None)
            wires = self._make_wires(self._site, intake)
            sinks = [FolderSink(sink, self._folder / "out") for wire in wires for sink in wire.sinks]
            for sink in sinks:
                stack.push_async_callback(sink.close)
            parts = await self._make_parts(journal, wires, sinks, metrics)
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(part.run()) for part in parts]
                for received in told:
                    await intake.accept(received)
                    await self._follow(journal, parts)
                    on_message()
                for task in running:
                    task.cancel()
            ends = Counter({row[0]: row[1] for row in await journal.read(lambda conn: conn.execute(_ENDS).all())})
        return Replayed(ends=ends, payloads=sum(1 for file in (self._folder / "out").rglob("*") if file.is_file()))

    async def _make_parts(
        self, journal: Journal, wires: Sequence[Wire], sinks: Sequence[FolderSink], metrics: Metrics
    ) -> list[Processor | Drafter | Courier]:
        site = self._site
        translators: dict[str, Translate] = {wire.name: wire.translate for wire in wires}
        processor = Processor(
            journal,
            translators | {IMPORTED: translate_row},
            settle_s=0.0,
            metrics=metrics,
            on_change=self._moved.ring,
            rules=site.flow,
            remembers=False,
        )
        drafter = Drafter(
            journal,
            self._model,
            destinations=[sink.name for sink in sinks],
            deadline_s=site.model.deadline_s,
            concurrency=1,
            metrics=metrics,
            on_draft=self._moved.ring,
            case_secret=await journal.read(lambda conn: secrets.read(conn, secrets.CASES)),
            judge=Judge(policy=GuardPolicy(site=site.guard.policy), lexicon=site.guard.lexicon),
        )
        couriers = [Courier(journal, sink, max_attempts=MAX_ATTEMPTS, metrics=metrics) for sink in sinks]
        return [processor, drafter, *couriers]

    async def _follow(self, journal: Journal, parts: Sequence[Processor | Drafter | Courier]) -> None:
        """Until nothing is left to do."""
        while True:
            for part in parts:
                part.alarm.ring()
            if not await journal.read(_count_left):
                return
            await self._moved.wait(LOOK_S)


def _count_left(conn: Connection) -> int:
    return sum(conn.execute(query).scalar_one() for query in _LEFT)
