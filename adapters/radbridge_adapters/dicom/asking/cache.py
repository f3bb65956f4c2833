"""Answers of a peer, kept for a while, and when to leave a peer alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, TypeVar

import structlog

from radbridge.errors import DeliveryError, DeliveryFailed, DeliveryRefused

log = structlog.get_logger(__name__)

AT_MOST = 4096
"""Entries of a cache; the one that was used least recently goes first."""
ANSWERS = 1024
"""Answers kept of one peer: a patient's studies may be hundreds."""
NOTHING_S = 60.0
"""How long "there is nothing" holds: a study that wasn't known a minute ago may be by now."""
ALONE_S = 30.0
"""How long a peer is left alone after it failed."""

Answer = TypeVar("Answer")
Clock = Callable[[], float]
Pause = Callable[[int], Awaitable[None]]
"""Wait before the retry of that number, from 1 on."""


class Cache(Generic[Answer]):
    """Question -> answer, each with the time at which it ends."""

    def __init__(self, *, at_most: int = AT_MOST, clock: Clock = monotonic) -> None:
        self._at_most = at_most
        self._clock = clock
        self._kept: OrderedDict[str, tuple[Answer, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, question: str) -> Answer | None:
        """What was answered, if that still holds."""
        answer, ends_at = self._kept.get(question, (None, 0.0))
        if answer is None or ends_at <= self._clock():
            self._kept.pop(question, None)
            return None
        self._kept.move_to_end(question)
        return answer

    def put(self, question: str, answer: Answer, holds_s: float) -> None:
        """Keep an answer for so long."""
        if holds_s <= 0:
            return
        self._kept[question] = (answer, self._clock() + holds_s)
        self._kept.move_to_end(question)
        while len(self._kept) > self._at_most:
            self._kept.popitem(last=False)


@dataclass(kw_only=True)
class Asking(Generic[Answer]):
    """Asks one peer: what it said before, from the cache; again after a failure; and after too many, not for a while.

    So a peer that is away costs one round of questions each `ALONE_S` and one line in the log, however many ask.
    """

    name: str
    retries: int
    cache_s: float
    pause: Pause
    clock: Clock = monotonic
    _cache: Cache[tuple[Answer, ...]] = field(init=False)
    _alone_until: float = field(init=False, default=0.0)
    _is_away: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._cache = Cache(at_most=ANSWERS, clock=self.clock)

    @property
    def is_left_alone(self) -> bool:
        """Whether it failed just now."""
        return self.clock() < self._alone_until

    async def ask(self, question: str, put: Callable[[], Awaitable[tuple[Answer, ...]]]) -> tuple[Answer, ...]:
        """The answers to `question`, by `put` unless they are known. Raises DeliveryFailed, DeliveryRefused."""
        if (known := self._cache.get(question)) is not None:
            return known
        if self.is_left_alone:
            raise DeliveryFailed(self.name, "it failed just now and is left alone for a while", sent=False)
        answers = await self._try(put)
        self._cache.put(question, answers, self.cache_s if answers else min(self.cache_s, NOTHING_S))
        return answers

    async def _try(self, put: Callable[[], Awaitable[tuple[Answer, ...]]]) -> tuple[Answer, ...]:
        attempt = 1
        while True:
            try:
                answers = await put()
            except DeliveryError as error:
                if isinstance(error, DeliveryRefused) or attempt > self.retries:
                    self._leave_alone(error)
                    raise
            else:
                self._welcome()
                return answers
            await self.pause(attempt)
            attempt += 1

    def _welcome(self) -> None:
        if self._is_away:
            log.info("a DICOM peer answers again", peer=self.name)
        self._is_away = False

    def _leave_alone(self, error: DeliveryError) -> None:
        self._alone_until = self.clock() + ALONE_S
        if not self._is_away:
            log.warning("a DICOM peer doesn't answer", peer=self.name, reason=str(error), retry_in_s=ALONE_S)
        self._is_away = True
