"""A RIS that insists: each message goes again, over any gateway, until it is acknowledged; only then the next one.

A case's messages go over whatever connection is drawn, so what is acknowledged by one gateway is often followed by what
another one takes in. Now and then a message that was acknowledged long ago comes once more.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.torture.ledger import Ledger, digest
from tests.torture.words import END, POSITIVE, Said, answer_of, dictated, frame, order, signed

REPEATS = 0.08
"""Of acknowledged messages, how many come once more."""
SIGNED = 0.4
WIDE = 0.4
"""Of patients, how many have two cases that one message speaks of."""
TOGETHER = 0.8
"""How often each of two such cases is in the next message."""
AT_ONCE = 4
"""Cases that are being dictated."""


@dataclass(eq=False)
class _Line:
    """A connection to one gateway, made when it is needed."""

    port: int
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def ask(self, raw: bytes) -> bytes:
        """Send a message and return the next answer. Raises OSError, EOFError, TimeoutError."""
        if self.reader is None or self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(frame(raw))
        return (await self.reader.readuntil(END)).lstrip(b"\x0b")[: -len(END)]

    def drop(self) -> None:
        if self.writer is not None:
            self.writer.transport.abort()
        self.reader = self.writer = None


@dataclass(eq=False)
class Ris:
    """One sender, with cases of its own."""

    name: str
    folder: Path
    seed: int
    first_case: int
    """Even: odd numbers are those of a second case."""
    ports: Mapping[str, int]
    """Gateway -> where its listener, or a proxy before it, is."""
    pause_s: float
    timeout_s: float
    is_over: bool = False
    """No new case is begun."""
    is_rushed: bool = False
    """Nobody pauses between two saves: what comes in queues up."""
    patients: int = 0
    _seen: list[Said] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.folder, self.name)
        self._random = random.Random(f"{self.seed}{self.name}")
        self._numbers = count(1)
        self._lines = [(via, _Line(port)) for via, port in self.ports.items() for _ in range(2)]
        self._free: dict[int, asyncio.Lock] = {id(line): asyncio.Lock() for _, line in self._lines}

    async def run(self) -> None:
        """Dictate until `is_over`, then finish what was begun."""
        await asyncio.gather(*(self._work(n) for n in range(AT_ONCE)))
        for _, line in self._lines:
            line.drop()
        self._ledger.close()

    async def _work(self, number: int) -> None:
        while not self.is_over:
            for said in self._patient():
                await self._insist(said)
                pause_s = self._random.expovariate(1 / self.pause_s)
                await asyncio.sleep(0.0 if self.is_rushed else pause_s)
                if self._random.random() < REPEATS:
                    await self._insist(self._random.choice(self._seen[-50:]))

    def _patient(self) -> Sequence[Said]:
        """All messages of a patient's cases, in order."""
        first = self.first_case + 2 * self.patients
        cases = range(first, first + 1 + (self._random.random() < WIDE))
        self.patients += 1
        told = [order(cases, ris=self.name)]
        saves = dict.fromkeys(cases, 0)
        for _ in range(self._random.randint(1, 4)):
            chosen = [c for c in cases if len(cases) == 1 or self._random.random() < TOGETHER] or [cases[0]]
            for case in chosen:
                saves[case] += 1
            told.append(dictated({case: saves[case] for case in chosen}, ris=self.name))
        if self._random.random() < SIGNED:
            case = cases[-1]
            told.append(signed({case: max(1, saves[case])}, ris=self.name))
        return told

    async def _insist(self, said: Said) -> None:
        """Send until there is a positive answer, or one that says never."""
        message = digest(said.raw)
        while True:
            via, line = self._random.choice(self._lines)
            async with self._free[id(line)]:
                code = await self._try(said, message, via, line)
            if code in POSITIVE:
                self._seen.append(said)
                return
            if code in ("AR", "CR"):
                return
            await asyncio.sleep(self._random.uniform(0.2, 1.2))

    async def _try(self, said: Said, message: str, via: str, line: _Line) -> str:
        attempt = next(self._numbers)
        saves = {str(case): save for case, save in said.saves.items()}
        self._ledger.note("sent", attempt=attempt, message=message, kind=said.kind, via=via, saves=saves)
        try:
            async with asyncio.timeout(self.timeout_s):
                raw = await line.ask(said.raw)
        except (OSError, EOFError) as error:  # TimeoutError is an OSError
            line.drop()
            self._ledger.note("lost", attempt=attempt, why=type(error).__name__)
            return ""
        code, control = answer_of(raw)
        if control != said.control:
            line.drop()
            self._ledger.note("lost", attempt=attempt, why="an answer to another message")
            return ""
        self._ledger.note("told", attempt=attempt, code=code, answer=digest(raw))
        return code
