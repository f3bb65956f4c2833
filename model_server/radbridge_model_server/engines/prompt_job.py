"""`PromptJob`: one prompt of the transformers engine, between the event loop and the engine's thread."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from dataclasses import dataclass, field

from radbridge.errors import DeadlinePassed, ModelUnavailable
from radbridge_model_server.engines.engine import Generated, OnText, Prompt
from radbridge_model_server.engines.text_stream import TextStream


@dataclass(eq=False, kw_only=True, slots=True)
class PromptJob:
    """A prompt and whoever waits for its text. Made on the event loop, answered from the engine's thread."""

    prompt: Prompt
    ids: list[int] = field(repr=False)
    asked: float = field(default_factory=time.monotonic)
    answer: Future[Generated] = field(default_factory=Future)
    cancelled: bool = False
    on_text: OnText | None = None
    stream: TextStream | None = None
    """Set with `on_text`."""
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    @property
    def is_late(self) -> bool:
        """Whether nobody waits any more: the deadline has passed."""
        return time.monotonic() > self.prompt.deadline

    def hear(self, token: int) -> None:
        """A token was written: what it adds to the text goes to `on_text`."""
        if self.stream:
            self._tell(self.stream.add(token))

    def end_stream(self) -> None:
        """No token will follow."""
        if self.stream:
            self._tell(self.stream.end())

    def fail(self, error: Exception) -> None:
        """Answer with an error, unless there is an answer."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def fail_late(self) -> None:
        """Answer that the deadline has passed."""
        self.fail(DeadlinePassed(round(self.prompt.deadline - self.asked, 3)))

    def refuse(self) -> None:
        """Answer, unless nobody waits, that the engine stops."""
        if self.answer.set_running_or_notify_cancel():
            self.fail(ModelUnavailable("the model server is stopping"))

    def _tell(self, piece: str) -> None:
        if piece and self.on_text and not self.cancelled:
            self.loop.call_soon_threadsafe(self.on_text, piece)
