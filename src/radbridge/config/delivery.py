"""How a destination wants to be delivered to: keys that the destinations of every wire share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time
from typing import Annotated

from pydantic import AfterValidator, Field

from radbridge.config.values import Section, Timezone

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FORM = 'must be days and hours, such as "Mon-Fri 07:00-19:00" or "Sat,Sun 08:00-24:00"'
_WINDOW = re.compile(r"(?P<days>[A-Za-z,-]+) +(?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Hours of the days of a week, by the wall clock."""

    days: frozenset[int]
    """0 is Monday."""
    start: time
    end: time
    """Not after `start`: on the day after. Midnight is the end of the day."""

    @property
    def passes_midnight(self) -> bool:
        """Whether it ends on the day after it began."""
        return self.end <= self.start


def parse_window(text: str) -> Window:
    """`Mon-Fri 07:00-19:00`. Raises ValueError naming the form."""
    match = _WINDOW.fullmatch(text.strip())
    if match is None:
        raise ValueError(_FORM)
    days = frozenset(day for part in match["days"].split(",") for day in _days(part))
    end = match["end"]
    try:
        start = time.fromisoformat(match["start"])
        return Window(days=days, start=start, end=time() if end == "24:00" else time.fromisoformat(end))
    except ValueError:
        raise ValueError(_FORM) from None


def _days(part: str) -> list[int]:
    """`Mon`, or `Fri-Mon` round the week's end."""
    first, _, last = part.partition("-")
    try:
        begin, end = DAYS.index(first.capitalize()), DAYS.index((last or first).capitalize())
    except ValueError:
        raise ValueError(_FORM) from None
    return [(begin + n) % 7 for n in range((end - begin) % 7 + 1)]


def _checked_window(text: str) -> str:
    parse_window(text)
    return text


class Delivery(Section):
    """What every destination may say of its deliveries."""

    sessions: int = Field(default=1, ge=1, le=16)
    """Connections at once; the messages of one case always take the same one, so that their order is kept."""
    window: tuple[Annotated[str, AfterValidator(_checked_window)], ...] = ()
    """When drafts may go out, such as `Mon-Fri 07:00-19:00`; empty: always. What takes a draft back always goes."""
    timezone: Timezone = "UTC"
    """Whose clock `window` goes by."""
    breaker_after: int = Field(default=5, ge=1)
    """So many sends in a row without a yes stop the sending; then one at a time is tried."""
    breaker_s: float = Field(default=30.0, gt=0, le=900)
    """How long the first stop is; each further one is twice as long, up to a quarter of an hour."""
    max_unanswered: int = Field(default=3, ge=2)
    """Copies of one message that stay without an answer while the peer answers others: then it is dead."""
    resend_unanswered: bool = True
    """False: no second copy of a message by itself; an operator looks, and sends it again or drops it."""
