"""What the blocks of one connection are answered with: at once, and later where enhanced mode asks for it (2.9.3).

A block goes to the intake, its answer back by a callback, without a task of its own: the hot path. An application
acknowledgement is a message that follows when the message was applied. It is kept in the journal before it leaves, so
that whoever repeats a message hears the same again; one whose connection is gone is sent to nobody else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from radbridge.errors import JournalError
from radbridge.journal.schema import MessageState
from radbridge.traces import Name, Span, begin
from radbridge.wire import Accepted, Intake, Received, Rejected
from radbridge_adapters.hl7v2.batch import BatchFile, is_batch
from radbridge_adapters.hl7v2.framing import Fault, Frame
from radbridge_adapters.hl7v2.header import Header
from radbridge_adapters.hl7v2.reception import WIRE, Reception

log = structlog.get_logger(__name__)

MOST_OPEN = 1024
"""Application acknowledgements that one connection may wait for; beyond, a sender gets them when it repeats."""

Put = Callable[[Header, Received], asyncio.Future[Accepted]]
"""Has a message committed."""
Done = Callable[[bytes, Callable[[], None] | None], None]
"""Takes a block's answer, which may be empty, and what is to follow once it is written."""


class Answering:
    """Takes in blocks for one connection."""

    def __init__(
        self,
        reception: Reception,
        intake: Intake,
        peer: str,
        *,
        put: Put,
        application_ack_s: float,
        push: Callable[[bytes], None],
        on_quiet: Callable[[], None],
    ) -> None:
        """`push` sends a message of its own to the peer; `on_quiet` is called when one may be the last."""
        self._reception = reception
        self._intake = intake
        self._put = put
        self._peer = peer
        self._application_ack_s = application_ack_s
        self._push = push
        self._on_quiet = on_quiet
        self._tasks: set[asyncio.Task[Any]] = set()
        self._open: set[asyncio.Task[None]] = set()
        self._is_unpacking = False
        self._behind: deque[tuple[Frame | Fault, Done]] = deque()
        """Blocks that came while a batch is handed in, no more than a connection may have under way."""

    @property
    def is_open(self) -> bool:
        """Whether an application acknowledgement is still to come."""
        return bool(self._open)

    def take(self, block: Frame | Fault, done: Done) -> None:
        """Take in one block; `done` gets its answer after the commit. What is sent later gets the later id."""
        if self._is_unpacking:
            self._behind.append((block, done))
            return
        if isinstance(block, Frame) and is_batch(block.payload):
            self._is_unpacking = True
            self._spawn(self._take_batch(block.payload, done))
            return
        frame = begin(Name.FRAME)
        self._judge(block, done, frame)

    def stop(self) -> None:
        """Wait for no application acknowledgement any more."""
        for task in tuple(self._open):
            task.cancel()

    def _judge(self, block: Frame | Fault, done: Done, frame: Span | None = None) -> None:
        try:
            header, judged = self._reception.judge(block, self._peer)
        except Exception as error:  # noqa: BLE001 - whatever somebody sends, it is answered and the listener lives
            done(self._excuse(Header(), error), None)
            return
        if frame is not None and frame.carried:
            judged, done = _trace(frame, judged, done)
        self._hand_in(header, judged, done)

    def _hand_in(self, header: Header, judged: Received | Rejected, done: Done) -> None:
        if isinstance(judged, Received):
            try:
                future = self._put(header, judged)
            except Exception as error:  # noqa: BLE001 - whatever the intake's fault, the listener answers and lives
                done(self._excuse(header, error), None)
            else:
                future.add_done_callback(partial(self._settle, header, judged, done))
        else:
            self._spawn(self._reject(header, judged, done))

    def _settle(self, header: Header, judged: Received, done: Done, future: asyncio.Future[Accepted]) -> None:
        if future.cancelled():
            done(b"", None)
        elif (error := future.exception()) is not None:
            done(self._excuse(header, error), None)
        else:
            accepted = future.result()
            wants = judged.reply_to and accepted.id
            done(accepted.ack, partial(self._follow_up, header, accepted) if wants else None)

    async def _reject(self, header: Header, rejected: Rejected, done: Done) -> None:
        try:
            await self._intake.reject(rejected)
        except Exception as error:  # noqa: BLE001 - as above
            done(self._excuse(header, error), None)
        else:
            done(rejected.ack, None)

    def _excuse(self, header: Header, error: BaseException) -> bytes:
        """The negative answer for a fault of ours: the sender is told to come back (rule 1)."""
        if isinstance(error, JournalError):
            log.error("not_stored", peer=self._peer, hint="check the disk and the database")
        else:
            log.error("intake_failed", peer=self._peer, reason=type(error).__name__)
        return self._reception.refuse(header, "not_stored")

    async def _take_batch(self, block: bytes, done: Done) -> None:
        follow: list[Callable[[], None]] = []
        try:
            opened, waiting = await self._unpack(block, done, follow)
        finally:
            self._go_on()
        if opened is None:
            return
        answers = [[await answer for answer in batch] for batch in waiting]

        def go_on() -> None:
            for then in follow:
                then()

        done(self._reception.close_batch(opened, answers), go_on)

    async def _unpack(
        self, block: bytes, done: Done, follow: list[Callable[[], None]]
    ) -> tuple[BatchFile | None, list[list[asyncio.Future[bytes]]]]:
        """Hand in what is in a batch; None: it is none, and was answered as a whole."""
        try:
            opened = self._reception.open_batch(block, self._peer)
        except Exception as error:  # noqa: BLE001 - as above
            done(self._excuse(Header(), error), None)
            return None, []
        if not isinstance(opened, BatchFile):
            self._hand_in(*opened, done)
            return None, []
        if not opened.agrees:
            self._intake.count(WIRE, "", "batch_count")
        waiting: list[list[asyncio.Future[bytes]]] = []
        for batch in opened.batches:
            waiting.append([])
            for message in batch.messages:
                waiting[-1].append(self._answer_of(message, follow))
                await asyncio.sleep(0)  # other connections have their turn between two messages
        return opened, waiting

    def _go_on(self) -> None:
        """Take in what came meanwhile, up to the next batch."""
        self._is_unpacking = False
        while self._behind and not self._is_unpacking:
            self.take(*self._behind.popleft())

    def _answer_of(self, message: bytes, follow: list[Callable[[], None]]) -> asyncio.Future[bytes]:
        """Take in one message of a batch. What it is answered, and what is to follow when that was sent."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def done(answer: bytes, then: Callable[[], None] | None) -> None:
            if then is not None:
                follow.append(then)
            if not future.done():
                future.set_result(answer)

        self._judge(Frame(payload=message), done)
        return future

    def _follow_up(self, header: Header, accepted: Accepted) -> None:
        """Send the application acknowledgement when there is one; a repeated message's at once."""
        if accepted.reply:
            self._push(accepted.reply)
        elif len(self._open) >= MOST_OPEN:
            log.warning("application_ack_dropped", peer=self._peer, limit=MOST_OPEN, message_id=accepted.id)
        else:
            task = asyncio.get_running_loop().create_task(self._conclude(header, accepted.id))
            self._open.add(task)
            task.add_done_callback(self._close)

    def _close(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        self._on_quiet()

    async def _conclude(self, header: Header, message_id: int) -> None:
        try:
            state = await self._intake.outcome_of(message_id, at_most_s=self._application_ack_s)
            if state is None:
                log.info("application_ack_late", peer=self._peer, message_id=message_id)
                return
            reply = self._reception.conclude(header, "" if state == MessageState.DONE else "not_applied")
            if reply:
                self._push(await self._intake.keep_reply(message_id, reply))
        except JournalError:
            log.warning("application_ack_not_stored", peer=self._peer, message_id=message_id)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _trace(frame: Span, judged: Received | Rejected, done: Done) -> tuple[Received | Rejected, Done]:
    """Have what a block leads to belong to its span, which ends when its answer is there."""
    frame.note(wire=WIRE)

    def answered(answer: bytes, then: Callable[[], None] | None) -> None:
        frame.end()
        done(answer, then)

    if isinstance(judged, Rejected):
        frame.note(reason=judged.reason)
        return judged, answered
    return replace(judged, trace=frame.carried), answered
