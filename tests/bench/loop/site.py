"""The running system: `radbridge up` in a process of its own, its dictation system, radiologists who sign over HL7."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from tests.bench.loop.forms import Form
from tests.bench.loop.hands import edit_by, hire
from tests.bench.loop.messages import Ris
from tests.bench.loop.people import Signer
from tests.support.dictation import Dictation, listening
from tests.support.gateway import GatewayProcess

AT_ONCE = 4
"""Radiologists who dictate at the same time."""
DRAFT_S = 120.0
"""For a draft to come and be confirmed, on the busiest machine."""
_FRAME = b"\x0b%s\x1c\r"
_DRAFTS = "SELECT id, state, reason, document FROM draft WHERE accession = ? ORDER BY seq"
_CONFIRMED = "SELECT count(*) FROM delivery WHERE draft_id = ? AND purpose = 'draft' AND state = 'confirmed'"
_SETTLED = ("blocked", "none")

Change = Callable[[str], str]
"""What is done to a text before it is signed."""


@dataclass
class Running:
    """A gateway at work."""

    folder: Path
    gateway: GatewayProcess
    dictation: Dictation
    connection: sqlite3.Connection
    hands: Executor

    @property
    def url(self) -> str:
        """Of the embedded model server."""
        return next(str(line["url"]) for line in reversed(self.gateway.logged()) if line.get("event") == "drafting")

    def ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the journal."""
        return self.connection.execute(sql, values).fetchall()

    async def sign(self, signer: Signer, numbers: Sequence[int], change: Change = str) -> None:
        """Dictate, wait for the draft, edit and sign: one case after the other. Those signed before are passed over."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.hl7_port)
        with closing(writer):
            for number in numbers:
                case = signer.cases[number]
                ris = Ris(signer, number, case)
                if self.ask('SELECT 1 FROM "case" WHERE accession = ? AND state = ?', ris.accession, "signed"):
                    continue
                for message in (ris.order(), ris.dictated()):
                    await _send(reader, writer, message)
                draft = await self._wait_for_draft(ris.accession)
                signed = await edit_by(self.hands, draft, signer, number)
                await _send(reader, writer, ris.signed(change(signed)))

    async def sign_all(self, signers: Sequence[Signer], numbers: Sequence[int], changes: dict[str, Change]) -> None:
        """The same cases of several radiologists, some of them at a time; `changes` by radiologist."""
        room = asyncio.Semaphore(AT_ONCE)

        async def take(signer: Signer) -> None:
            async with room:
                await self.sign(signer, numbers, changes.get(signer.id, str))

        async with asyncio.TaskGroup() as tasks:
            for signer in signers:
                tasks.create_task(take(signer))

    async def _wait_for_draft(self, accession: str) -> str:
        """The draft that the dictation system confirmed; empty where none came."""
        end = monotonic() + DRAFT_S
        while monotonic() < end:
            for draft_id, state, _, document in self.ask(_DRAFTS, accession)[::-1]:
                if state in _SETTLED:
                    return ""
                if state == "current" and self.ask(_CONFIRMED, draft_id)[0][0]:
                    return str(json.loads(document)["text"])
            await asyncio.sleep(0.05)
        return ""

    async def settle(self) -> None:
        """Wait until every message is applied and every signed report remembered."""
        for sql in ("message WHERE state = 'accepted'", "memory WHERE state = 'waiting'"):
            while self.ask(f"SELECT count(*) FROM {sql}")[0][0]:  # noqa: S608 - two fixed texts
                await asyncio.sleep(0.2)

    async def command(self, *words: str | Path, allowed: tuple[int, ...] = (0,)) -> tuple[int, float]:
        """`radbridge …` with the site's file, its output in `commands.log`; status and seconds."""
        began = monotonic()
        with (self.folder / "commands.log").open("ab") as log:
            log.write(f"\n$ radbridge {' '.join(map(str, words))}\n".encode())
            log.flush()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "radbridge", *map(str, words)), stdout=log, stderr=log
            )
            status = await process.wait()
        if status not in allowed:
            said = (self.folder / "commands.log").read_text(errors="replace")[-3000:]
            raise SystemExit(f"radbridge {' '.join(map(str, words[:3]))} ended with status {status}:\n{said}")
        return status, monotonic() - began


@asynccontextmanager
async def running(folder: Path, form: Form) -> AsyncIterator[Running]:
    """The system in `folder`, which may have been at work there before."""
    async with listening() as dictation:
        gateway = GatewayProcess(folder, destinations=(dictation.port,), model=_model(folder, form))
        async with gateway:
            database = f"file:{folder}/radbridge.db?mode=ro"
            with closing(sqlite3.connect(database, uri=True, isolation_level=None)) as connection, hire(form) as hands:
                yield Running(folder, gateway, dictation, connection, hands)


def _model(folder: Path, form: Form) -> str:
    """The tables of `site.toml` from `[model]` on. The base drafts for whoever has no LoRA; nothing is tried out.

    A turn has every core: nobody dictates meanwhile.
    """
    training = {"work": f"{folder}/turns", "keep_rows": True, "cpus": os.cpu_count()} | form.training
    return "\n".join(
        (
            'url = "embedded"\nsite_lora = ""\ndeadline_s = 60.0',
            f'loras = "{folder}/registry"',
            "[training]",
            *_keys(training),
            "[training.trial]",
            *_keys({"mode": "none"} | form.trial),
        )
    )


def _keys(table: dict[str, Any]) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: bytes) -> None:
    """Hand a message in, and have it acknowledged."""
    writer.write(_FRAME % message)
    ack = await reader.readuntil(b"\x1c\r")
    if b"\rMSA|AA|" not in ack:
        raise SystemExit(f"a message wasn't taken in: {ack!r}")
