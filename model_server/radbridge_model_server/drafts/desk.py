"""`Desk`: the requests under way. Two that ask for the same share one generation; a newer text ends the older one's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from radbridge.contract import DraftRequest, DraftResponse, TaskName
from radbridge.errors import ModelError, ModelUnavailable, Superseded
from radbridge_model_server.drafts.drafting import Drafter


@dataclass(eq=False, kw_only=True, slots=True)
class Flight:
    """One generation under way."""

    request: DraftRequest
    received: float
    deadline: float
    work: asyncio.Task[DraftResponse] = field(init=False)
    waiting: int = 0
    ended_by: ModelError | None = None
    told: list[tuple[str, str]] = field(default_factory=list, repr=False)
    """The coarse text under the name of its stage, and `text` as it came, for those who watch, from whenever on."""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, kind: str, text: str) -> None:
        """Pass a piece of text on to those who watch."""
        self.told.append((kind, text))
        self.wake()

    def wake(self) -> None:
        """Have those who watch look again."""
        self.news.set()
        self.news = asyncio.Event()

    def end(self, error: ModelError) -> None:
        """Stop generating; whoever waits gets the error."""
        self.ended_by = error
        self.work.cancel()

    def is_for(self, request: DraftRequest) -> bool:
        """Whether another request asks for the very same draft; which signed reports came with it makes none other."""
        own = self.request
        asked = replace(request, id=own.id, deadline_ms=own.deadline_ms, examples=own.examples, memory=own.memory)
        return asked == own


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """One request's place in a flight."""

    flight: Flight
    request: DraftRequest
    received: float

    async def texts(self) -> AsyncIterator[tuple[str, str]]:
        """(stage, coarse text), then (`text`, piece) as pieces come, until the flight is over. Errors are `draft`'s."""
        flight, seen = self.flight, 0
        while True:
            news = flight.news
            while seen < len(flight.told):
                yield flight.told[seen]
                seen += 1
            if flight.work.done():
                return
            await news.wait()

    async def draft(self) -> DraftResponse:
        """The draft. Raises Superseded, and whatever the drafter raises."""
        flight = self.flight
        await asyncio.wait({flight.work})
        if flight.work.cancelled():
            raise flight.ended_by or ModelUnavailable("the model server is stopping")
        drafted = flight.work.result()
        if self.request is flight.request:
            return drafted
        return replace(drafted, id=self.request.id, ms=round((time.monotonic() - self.received) * 1000, 3))


class Desk:
    """Takes requests in. Only those that name a case can share a generation, or end an older one."""

    def __init__(self, drafter: Drafter) -> None:
        self._drafter = drafter
        self._by_case: dict[tuple[str, TaskName], Flight] = {}
        self._flights: set[Flight] = set()

    @property
    def under_way(self) -> int:
        """Generations that somebody waits for."""
        return len(self._flights)

    @contextmanager
    def take(self, request: DraftRequest, received: float) -> Iterator[Ticket]:
        """A place for a request while the block runs. When nobody has a place in a flight any more, it ends."""
        flight = self._join(request, received) or self._begin(request, received)
        flight.waiting += 1
        try:
            yield Ticket(flight=flight, request=request, received=received)
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                self._forget(flight)
                flight.work.cancel()

    async def close(self) -> None:
        """End every flight; those who wait get ModelUnavailable."""
        flights = list(self._flights)
        for flight in flights:
            flight.end(ModelUnavailable("the model server is stopping"))
        await asyncio.gather(*(flight.work for flight in flights), return_exceptions=True)

    def _join(self, request: DraftRequest, received: float) -> Flight | None:
        """The flight that answers this request too, and in time; one of an older text ends here."""
        flight = self._by_case.get(_name(request)) if request.case else None
        if flight is None:
            return None
        if flight.is_for(request):
            return flight if flight.deadline <= self._drafter.deadline(request, received) else None
        self._forget(flight)
        flight.end(Superseded())
        return None

    def _begin(self, request: DraftRequest, received: float) -> Flight:
        flight = Flight(request=request, received=received, deadline=self._drafter.deadline(request, received))
        flight.work = asyncio.create_task(self._fly(flight))
        self._flights.add(flight)
        if request.case:
            self._by_case[_name(request)] = flight
        flight.work.add_done_callback(lambda work: self._land(flight))
        return flight

    async def _fly(self, flight: Flight) -> DraftResponse:
        prepared = await self._drafter.prepare(flight.request, flight.received)
        flight.tell(prepared.coarse.stage, prepared.coarse.text)
        return await self._drafter.complete(prepared, lambda piece: flight.tell("text", piece))

    def _land(self, flight: Flight) -> None:
        self._flights.discard(flight)
        self._forget(flight)
        if not flight.work.cancelled():
            flight.work.exception()  # seen here, should everybody have left
        flight.wake()

    def _forget(self, flight: Flight) -> None:
        if self._by_case.get(_name(flight.request)) is flight:
            del self._by_case[_name(flight.request)]


def _name(request: DraftRequest) -> tuple[str, TaskName]:
    return request.case, request.task
