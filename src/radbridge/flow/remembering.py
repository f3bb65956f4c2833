"""The rememberer: signed reports become examples of their signer's style, and a case is told the ones most like it.

The journal's table is the truth and the index in memory a hint: what is sent is read from the table in that moment, so
that a report which was corrected, withdrawn or forgotten is in no draft that is asked for afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic, perf_counter

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from radbridge.case import Case
from radbridge.config.memory import Memory
from radbridge.errors import JournalError, MessageFault
from radbridge.events import CaseEvent, ReportSigned
from radbridge.example import MAX_EXAMPLE_CHARS, StyleExample
from radbridge.flow.applying import Translate
from radbridge.flow.wake import Alarm
from radbridge.journal import Journal, cases, edits, messages
from radbridge.journal import memory as stored
from radbridge.journal.memory import Expected
from radbridge.memory import Remembered, StyleMemory, remember
from radbridge.metrics import Metrics

log = structlog.get_logger(__name__)

BLOCK = 200
"""Reports that are read from the journal at once."""
SCRUBBED_AT_ONCE = 16
INDEXED_AT_ONCE = 8
"""Between two pauses in which a listener may answer: a report takes a fraction of a millisecond."""
LOOKS = 3
"""How often a case is looked up when what the index named is gone."""
PRESSED_PAUSE_S = 0.05
REST_S = 0.005
"""Between two reports: a long history takes as long as it takes."""
RETRY_S = 1.0
LOOK_S = 60.0
"""Between two looks at what other processes have remembered."""
SHARED_LOOK_S = 5.0
"""The same, where another gateway does it all the time."""
_NEWEST = 2**63 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Recollection:
    """What a case is told of its signer's earlier reports."""

    examples: tuple[StyleExample, ...] = ()
    """The most alike first, then the newest of the others."""
    memory: str = ""
    """The state of the memory they are from."""


Recall = Callable[[Case], Awaitable[Recollection]]


class Rememberer:
    """Fills the style memory, and answers from it."""

    name = "rememberer"

    def __init__(
        self,
        journal: Journal,
        *,
        translators: Mapping[str, Translate],
        settings: Memory,
        secret: bytes,
        metrics: Metrics,
        is_pressed: Callable[[], bool] = lambda: False,
        scrubs: Callable[[], bool] = lambda: True,
        is_shared: bool = False,
    ) -> None:
        """`secret` moves the dates in the texts; `is_pressed` says when acknowledging needs the time.

        `scrubs` says whether it is this process that takes patients out of texts. Where the journal `is_shared` it is
        looked more often for what others have remembered.
        """
        self.alarm = Alarm()
        self._journal = journal
        self._translators = translators
        self._settings = settings
        self._secret = secret
        self._metrics = metrics
        self._is_pressed = is_pressed
        self._scrubs = scrubs
        self._is_shared = is_shared
        self._index = StyleMemory()
        self._look_at = 0.0
        """Not before this time, by `time.monotonic()`."""

    @property
    def _look_s(self) -> float:
        return SHARED_LOOK_S if self._is_shared else LOOK_S

    async def run(self) -> None:
        """Index what is remembered, then remember what is signed, until cancelled."""
        while True:
            try:
                await self._restore()
                while True:
                    if not self._scrubs() or not await self._remember_some():
                        await self._notice()
                        await self.alarm.wait(self._look_s)
            except* JournalError:
                log.exception("journal unavailable", retry_in_s=RETRY_S)
                await asyncio.sleep(RETRY_S)

    async def remember_all(self) -> int:
        """Scrub and keep all that waits, then return: for a process of its own. How many reports are remembered."""
        more = True
        while more:
            more = await self._remember_some(rest_s=0)
        return await self._journal.read(stored.count)

    async def _restore(self) -> None:
        """Index what is in the table, the newest first: those are the ones that are wanted soonest."""
        before = _NEWEST
        while block := await self._journal.read(partial(stored.kept, before=before, at_most=BLOCK)):
            for at, (number, report) in enumerate(block.items()):
                if at % INDEXED_AT_ONCE == 0:
                    await asyncio.sleep(0)
                if report is not None:
                    self._keep(report)
                elif await self._journal.write(stored.renew, number):
                    log.warning("a remembered report can't be read; it is scrubbed anew")
            before = min(block)
        if len(self._index):
            log.info("memory restored", count=len(self._index))

    async def _notice(self) -> None:
        """Index what another process has remembered: `radbridge import` may run beside a gateway."""
        if monotonic() < self._look_at or await self._journal.read(stored.count) == len(self._index):
            return
        self._look_at = monotonic() + self._look_s
        missing = [n for n in await self._journal.read(stored.numbers) if n not in self._index]
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            for _, report in (await self._journal.read(partial(stored.load, numbers=block))).values():
                self._keep(report)
                await asyncio.sleep(0)

    async def _remember_some(self, *, rest_s: float = REST_S) -> bool:
        """Scrub and keep the newest of what waits; False when nothing does."""
        waiting = await self._journal.read(partial(stored.waiting, at_most=SCRUBBED_AT_ONCE))
        async with asyncio.TaskGroup() as writing:
            for expected in waiting:
                while self._is_pressed():  # noqa: ASYNC110 - a burst of messages has no end to wait for
                    await asyncio.sleep(PRESSED_PAUSE_S)
                report = await self._journal.read(partial(self._scrub, expected=expected))
                writing.create_task(self._store(expected, report))
                await asyncio.sleep(rest_s)
        return bool(waiting)

    def _scrub(self, conn: Connection, expected: Expected) -> Remembered | None:
        """What may be kept of a report. A text that the scrubber stumbles over is never kept."""
        try:
            case = cases.load(conn, expected.key)
            if case is None:
                return None
            told = list(self._read_told(messages.of_accession(conn, expected.key.accession)))
            edit = edits.newest(conn, expected.key)
            return remember(
                case,
                expected.number,
                told=[fact for _, fact in told],
                secret=self._secret,
                draft=edit.draft if edit else "",
                message=max((number for number, fact in told if isinstance(fact, ReportSigned)), default=0),
            )
        except SQLAlchemyError:
            raise
        except Exception:  # one report that nobody foresaw doesn't end the memory of all others
            log.exception("report not remembered")
            return None

    def _read_told(self, received: Iterable[messages.Waiting]) -> Iterator[tuple[int, CaseEvent]]:
        """What messages told, with their numbers. One that can't be read was applied to no case."""
        for message in received:
            if (translate := self._translators.get(message.wire)) is not None:
                with suppress(MessageFault):
                    yield from ((message.id, fact) for fact in translate(message.raw) if isinstance(fact, CaseEvent))

    async def _store(self, expected: Expected, report: Remembered | None) -> None:
        if report is None:
            await self._journal.write(stored.give_up, expected.number)
        elif await self._journal.write(stored.keep, report):
            self._keep(report)

    def _keep(self, report: Remembered) -> None:
        self._index.keep(report.number, report.signer, report.findings)
        self._metrics.memory_reports.set(len(self._index))

    async def recall(self, case: Case) -> Recollection:
        """What the case's signer signed of this kind, and last. Raises JournalError."""
        began = perf_counter()
        reports: list[Remembered] = []
        for _ in range(LOOKS):
            numbers = self._choose(case)
            found = await self._journal.read(partial(stored.load, numbers=numbers))
            reports = [found[n][1] for n in numbers if n in found and found[n][0] != case.key]
            for number in set(numbers) - set(found):
                self._index.forget(number)
            if len(found) == len(numbers):
                break
        self._metrics.memory_reports.set(len(self._index))
        self._metrics.memory_seconds.observe(perf_counter() - began)
        examples = tuple(report.example for report in reports)
        return Recollection(examples=examples, memory=self._index.version)

    def _choose(self, case: Case) -> list[int]:
        signer, wanted = case.signer.id, self._settings
        alike = self._index.alike(signer, case.report.findings[:MAX_EXAMPLE_CHARS], wanted.alike)
        return alike + self._index.newest(signer, wanted.newest, without=frozenset(alike))
