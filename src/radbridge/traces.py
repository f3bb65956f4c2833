"""Traces: the way of a message from its frame to the delivered draft, as spans without a patient in them (rule 5).

A trace outlives processes: the W3C `traceparent` of a message, a draft request and a delivery is stored beside it.
Where spans go is a `Tracer` of the entry-point group `radbridge.tracers`; without one nothing here costs much.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from time import monotonic
from types import TracebackType
from typing import Protocol

from radbridge.meter import WireMeter

Value = str | int | float | bool


class Name(StrEnum):
    """What a span may be called: nothing that came over a wire gets into a name."""

    FRAME = "frame"
    """From a message's last byte to its answer."""
    ACCEPT = "accept"
    """To the commit."""
    APPLY = "apply"
    DRAFT = "draft"
    """From a request whose turn it is to the stored draft."""
    MODEL = "model"
    """One question to the model server."""
    GUARD = "guard"
    DELIVER = "deliver"
    """One send and its answer."""


ROOTS = frozenset((Name.FRAME, Name.ACCEPT))
"""What a trace may begin with. All else belongs to one, or isn't traced: it was not among those that are sampled."""


DECLINED = "-"
"""What a span carries whose trace isn't sampled: what is below it doesn't begin one of its own."""


class Span(Protocol):
    """Something that takes time, while it does."""

    @property
    def carried(self) -> str:
        """Its `traceparent`, for what follows from it; empty or `DECLINED` where nothing is recorded."""
        ...

    def note(self, **attributes: Value) -> None:
        """Say more of it; keys and values as in logs (`radbridge.logs.FREE`)."""
        ...

    def end(self, *, failed: str = "") -> None:
        """It is over; `failed` is the type of what went wrong."""
        ...


class Tracer(Protocol):
    """Where spans go."""

    def begin(self, name: Name, parent: str) -> Span | None:
        """A span below `parent`, a `traceparent` or empty for a new trace; None where it isn't sampled."""
        ...

    async def ping(self) -> None:
        """Raise DeliveryFailed unless whoever gets them answers."""
        ...

    async def close(self) -> None:
        """Send what is left."""
        ...


class _Nothing:
    """The span that nobody records."""

    def __init__(self, carried: str) -> None:
        self.carried = carried

    def note(self, **attributes: Value) -> None:
        """Nothing."""

    def end(self, *, failed: str = "") -> None:
        """Nothing."""


_UNTRACED: Span = _Nothing("")
_UNSAMPLED: Span = _Nothing(DECLINED)
_current: ContextVar[str] = ContextVar("radbridge_traceparent", default="")
_tracer: Tracer | None = None


def record(tracer: Tracer | None) -> None:
    """From now on spans of this process go to `tracer`; None: nowhere."""
    global _tracer  # noqa: PLW0603 - one a process, like the log: work is traced in every layer
    _tracer = tracer


def carried(span: Span | None = None) -> str:
    """The `traceparent` to store with what follows from `span`, or from what this thread or task is at; maybe empty."""
    told = _current.get() if span is None else span.carried
    return "" if told == DECLINED else told


def begin(name: Name, parent: str = "") -> Span:
    """A span that its caller ends."""
    if _tracer is None or not (parent or name in ROOTS):
        return _UNTRACED
    if parent == DECLINED:
        return _UNSAMPLED
    return _tracer.begin(name, parent) or _UNSAMPLED


class span:  # noqa: N801 - used as a function
    """`with span(Name.GUARD, flags=2): …`, below `parent` or what this thread or task is at."""

    def __init__(self, name: Name, parent: str | None = None, **attributes: Value) -> None:
        self._name = name
        self._parent = parent
        self._attributes = attributes

    def __enter__(self) -> Span:
        """Begin."""
        parent = _current.get() if self._parent is None else self._parent
        self._span = begin(self._name, parent)
        self._span.note(**self._attributes)
        self._outer = _current.set(self._span.carried)
        return self._span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """End, with the error's type where there is one: its text may quote what broke it."""
        _current.reset(self._outer)
        self._span.end(failed=kind.__name__ if kind else "")


class under:  # noqa: N801 - used as a function
    """`with under(parent): …`: what follows from it belongs to that trace, without a span of its own."""

    def __init__(self, parent: str) -> None:
        self._parent = parent

    def __enter__(self) -> None:
        """Begin."""
        self._outer = _current.set(self._parent)

    def __exit__(self, *_: object) -> None:
        """End."""
        _current.reset(self._outer)


@contextmanager
def answering(meter: WireMeter, wire: str) -> Iterator[None]:
    """From the last byte of what came in to its answer: measured, and what a trace begins with."""
    began = monotonic()
    try:
        with span(Name.FRAME, "", wire=wire):
            yield
    finally:
        meter.acknowledged(wire, monotonic() - began)
