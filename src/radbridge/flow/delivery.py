"""The delivery of what is in the outbox: couriers of their own for each destination, so that a slow one harms no other.

radbridge.flow.courier    sends, one message at a time
radbridge.flow.ahead      composes what comes next meanwhile
radbridge.flow.results    what is committed between one send and the next
radbridge.flow.doubts     what is done about sends of which nobody knows what came
radbridge.flow.lane       what goes next to a destination
radbridge.flow.breaker    when a destination is left alone
radbridge.flow.windows    when drafts may go out
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from radbridge.config.delivery import Delivery as Rules
from radbridge.flow.courier import POLL_S, Courier
from radbridge.flow.lane import LONGEST_PAUSE_S
from radbridge.flow.results import backoff
from radbridge.flow.turns import AHEAD
from radbridge.journal import Journal
from radbridge.metrics import Metrics
from radbridge.wire import Holder, LanedSink, Sink, Wire

__all__ = ["LONGEST_PAUSE_S", "MAX_ATTEMPTS", "Courier", "backoff", "make_couriers"]

MAX_ATTEMPTS = 20
"""Answers that ask for another try, where a wire says nothing."""


def make_couriers(
    journal: Journal,
    wire: Wire,
    rules: Mapping[str, Rules],
    *,
    metrics: Metrics,
    holder: Holder,
    me: str = "",
    ahead: timedelta = AHEAD,
    poll_s: float = POLL_S,
) -> list[Courier]:
    """One courier for each session of each of a wire's destinations.

    `rules` are the site's, by destination; `me` is the gateway's id, where several share the journal.
    """
    return [
        Courier(
            journal,
            _session(sink, number),
            max_attempts=wire.max_attempts.get(sink.name, MAX_ATTEMPTS),
            metrics=metrics,
            rules=of_sink,
            number=number,
            lease=wire.bound.get(sink.name, ""),
            holder=holder,
            me=me,
            ahead=ahead,
            poll_s=poll_s,
        )
        for sink in wire.sinks
        for of_sink in (rules.get(sink.name, Rules()),)
        for number in range(of_sink.sessions)
    ]


def _session(sink: Sink, number: int) -> Sink:
    """A connection of its own, where the sink has several."""
    return sink.session(number) if isinstance(sink, LanedSink) else sink
