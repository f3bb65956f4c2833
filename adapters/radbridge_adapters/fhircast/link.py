"""A subscriber's WebSocket: sends what waits, takes the answers, and ends it when the subscriber can't follow."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from radbridge.wire import Receive, Send
from radbridge_adapters.fhircast.message import EventMessage, write_time
from radbridge_adapters.fhircast.names import HEARTBEAT
from radbridge_adapters.fhircast.subscriber import Refusal, Sent, Subscriber
from radbridge_adapters.resources.json import write_json

_GOOD_CLOSES = frozenset((1000, 1001, 1012))
"""Normal closure and going away: no failure (2.5). 1012 is our own server, stopping."""
_FAREWELL_S = 1.0
_AT_THE_DOOR_S = 0.1
"""For answers that came while this process stood still: then timers ring before it reads."""
NORMAL, ENDED = 1000, 1008

UNRESPONSIVE = "no answer to an event in time"
FULL = "too many events wait to be read"
LOST = "the connection was lost"


class Link:
    """The connection of one subscription; there is at most one at a time."""

    def __init__(
        self,
        subscriber: Subscriber,
        *,
        on_refusal: Callable[[Link, Refusal], None],
        on_loss: Callable[[Link, str, Sent | None], None],
    ) -> None:
        """`on_loss` gets why a subscriber that should be there no longer is, and the event it owes an answer for."""
        self.subscriber = subscriber
        self.connected = False
        self._on_refusal = on_refusal
        self._on_loss = on_loss
        self._bell = asyncio.Event()
        self._end: asyncio.Future[tuple[str, int]] | None = None

    def offer(self, event: EventMessage) -> None:
        """Queue an event for a subscriber that is connected and wants it; one whose queue is full is dropped."""
        if not self.connected or event.name not in self.subscriber.wanted:
            return
        if self.subscriber.offer(event, monotonic()):
            self._bell.set()
        else:
            self.end(FULL, ENDED)
            self._on_loss(self, FULL, Sent(id=event.id, name=str(event.name), due=0.0))

    def confirm(self) -> None:
        """Tell a subscriber that is connected what its subscription is now."""
        if self.connected:
            self.subscriber.tell(self.subscriber.confirmation())
            self._bell.set()

    def end(self, reason: str, code: int = NORMAL) -> None:
        """End the connection: a denial, then a close."""
        self.connected = False
        if self._end is not None and not self._end.done():
            self._end.set_result((reason, code))

    async def serve(self, receive: Receive, send: Send, opened: Callable[[], list[EventMessage]]) -> int:
        """Serve one socket to its end: the code it was closed with, by either side.

        `opened` gives what is open, once the subscriber is connected.
        """
        self.end("another connection took over", ENDED)
        end: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
        self._end = end
        self._bell = asyncio.Event()
        self.subscriber.forget()
        await receive()
        await send({"type": "websocket.accept"})
        self.connected = True
        self.confirm()
        for event in opened():
            self.offer(event)
        reading, writing = asyncio.create_task(self._read(receive)), asyncio.create_task(self._write(send, end))
        try:
            first: set[asyncio.Future[Any]] = {reading, writing, end}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                reason, code = end.result()
            elif reading.done():
                if reading.result() not in _GOOD_CLOSES:
                    self._on_loss(self, LOST, None)
                return reading.result()
            else:
                reason, code = UNRESPONSIVE, ENDED
                self._on_loss(self, UNRESPONSIVE, writing.result())
            await _say_farewell(send, self.subscriber.denial(reason), code)
            return code
        finally:
            if self._end is end:
                self.connected, self._end = False, None
            for task in (reading, writing):
                task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)

    async def _read(self, receive: Receive) -> int:
        """Take answers until the peer closes; the code it closed with."""
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return int(message.get("code", 1006))
            refusal = self.subscriber.answer(message.get("text") or "")
            if refusal is not None:
                self._on_refusal(self, refusal)

    async def _write(self, send: Send, end: asyncio.Future[tuple[str, int]]) -> Sent | None:
        """Send what waits, and heartbeats, until the subscriber owes an answer for too long: for which event."""
        subscriber, limits, bell = self.subscriber, self.subscriber.limits, self._bell
        heartbeat = monotonic() + limits.heartbeat_s
        while not end.done():
            bell.clear()
            while not end.done() and (text := subscriber.next()) is not None:
                try:
                    async with asyncio.timeout(limits.ack_s):
                        await _send(send, text)
                except TimeoutError:
                    return subscriber.overdue(monotonic() + limits.ack_s)
            if subscriber.overdue(monotonic()) is not None:
                await asyncio.sleep(_AT_THE_DOOR_S)
            now = monotonic()
            if (owed := subscriber.overdue(now)) is not None:
                return owed
            if subscriber.until <= now:
                self.end("the lease is over")
            elif heartbeat <= now:
                subscriber.tell(_heartbeat(subscriber.topic, limits.heartbeat_s))
                heartbeat = now + limits.heartbeat_s
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(heartbeat, subscriber.next_due()) - now):
                        await bell.wait()
        return None


async def _send(send: Send, text: str) -> None:
    """Send; on a socket that is gone, wait: how it went the reader learns."""
    try:
        await send({"type": "websocket.send", "text": text})
    except OSError:
        await asyncio.Event().wait()


async def _say_farewell(send: Send, denial: dict[str, Any], code: int) -> None:
    """Tell why it ends, to whoever still reads."""
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(_FAREWELL_S):
            await send({"type": "websocket.send", "text": write_json(denial).decode()})
            await send({"type": "websocket.close", "code": code})


def _heartbeat(topic: str, period_s: float) -> dict[str, Any]:
    """`heartbeat`, with how often it comes (3.2.2)."""
    now = write_time(datetime.now(UTC))
    context = [{"key": "period", "decimal": f"{period_s:g}"}]
    return {"timestamp": now, "id": now, "event": {"hub.topic": topic, "hub.event": HEARTBEAT, "context": context}}
