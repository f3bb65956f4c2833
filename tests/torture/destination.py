"""Dictation systems as bad as they come: they refuse, hang, lie about what they answer, half-close, answer late."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import count
from pathlib import Path
from typing import cast

from tests.torture.ledger import Ledger, digest
from tests.torture.words import END, answer, frame, hear


class Manner(StrEnum):
    """What is done with one message."""

    GOOD = "good"
    NACK = "nack"
    """AE: to be tried again."""
    HANG = "hang"
    """Nothing, ever."""
    LIE = "lie"
    """AA to some other message."""
    HALF_CLOSE = "half_close"
    LATE = "late"
    """AA, once nobody waits any more."""
    CUT = "cut"
    """The connection breaks before the answer."""


@dataclass(eq=False)
class Destination:
    """One peer, with a port for each gateway, so that its ledger tells who sent."""

    name: str
    folder: Path
    seed: int
    weights: Mapping[Manner, float]
    late_s: float
    ports: dict[str, int] = field(default_factory=dict)
    """Gateway -> port."""
    is_calm: bool = False
    """Once it is, every answer is good."""

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.folder, self.name)
        self._random = random.Random(f"{self.seed}{self.name}")
        self.numbers = count(1)
        self.callers: set[_Caller] = set()
        self._servers: list[asyncio.Server] = []

    async def start(self, gateways: list[str]) -> None:
        """Listen for each of the gateways."""
        loop = asyncio.get_running_loop()
        for gateway in gateways:
            server = await loop.create_server(partial(_Caller, self, gateway), "127.0.0.1", 0)
            self._servers.append(server)
            self.ports[gateway] = server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Hang up."""
        for server in self._servers:
            server.close()
        for caller in tuple(self.callers):
            caller.hang_up()
        self._ledger.close()

    def take(self, raw: bytes, caller: _Caller) -> None:
        """One message, whole."""
        heard, copy, manner = hear(raw), next(self.numbers), self._draw()
        self._ledger.note(
            "came",
            copy=copy,
            connection=caller.number,
            via=caller.via,
            control=heard.control,
            accession=heard.accession,
            withdrawal=heard.is_withdrawal,
            save=heard.save,
            payload=digest(raw),
            manner=manner,
        )
        match manner:
            case Manner.CUT:
                caller.hang_up()
            case Manner.HALF_CLOSE:
                caller.half_close()
            case Manner.HANG:
                pass
            case Manner.LATE:
                asyncio.get_running_loop().call_later(self.late_s, self._answer, caller, copy, heard.control, "AA")
            case Manner.LIE:
                self._answer(caller, copy, "X" + heard.control[1:], "AA", right=False)
            case Manner.NACK:
                self._answer(caller, copy, heard.control, "AE")
            case Manner.GOOD:
                self._answer(caller, copy, heard.control, "AA")

    def lose(self, caller: _Caller) -> None:
        """A connection is over."""
        self.callers.discard(caller)
        if not caller.is_hung_up:
            self._ledger.note("gone", connection=caller.number)

    def _answer(self, caller: _Caller, copy: int, control: str, code: str, *, right: bool = True) -> None:
        if caller in self.callers:
            # Noted first: once it is written, the gateway may send the next before this line is on the disk.
            self._ledger.note("answered", copy=copy, code=code, right=right)
            caller.say(answer(control, code, copy))

    def _draw(self) -> Manner:
        if self.is_calm:
            return Manner.GOOD
        manners = list(self.weights)
        return self._random.choices(manners, [self.weights[m] for m in manners])[0]


class _Caller(asyncio.Protocol):
    """One connection of a gateway."""

    def __init__(self, destination: Destination, via: str) -> None:
        self._destination = destination
        self.via = via
        self.number = next(destination.numbers)
        self.is_hung_up = False
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._destination.callers.add(self)

    def data_received(self, data: bytes) -> None:
        *whole, self._held = (self._held + data).split(END)
        for block in whole:
            self._destination.take(block.lstrip(b"\x0b"), self)

    def connection_lost(self, error: Exception | None) -> None:
        self._destination.lose(self)

    def say(self, payload: bytes) -> None:
        self._transport.write(frame(payload))

    def half_close(self) -> None:
        if not self._transport.is_closing():
            self._transport.write_eof()

    def hang_up(self) -> None:
        self._destination.lose(self)
        self.is_hung_up = True
        self._transport.abort()
