"""Somebody else's hub as a subscriber follows it: in step whatever is lost on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from radbridge_adapters.fhircast.dialect import Dialect
from radbridge_adapters.fhircast.faults import CastFault
from radbridge_adapters.fhircast.follow import Gap, follow, read_context
from radbridge_adapters.fhircast.message import EventMessage, read_event
from radbridge_adapters.fhircast.session import Open, Session, take
from tests.support.fhircast import delete, event, observation, put, report_context, update_context

HUB = Dialect()
BEGAN = datetime(2026, 1, 2, tzinfo=UTC)  # long before the subscriber's own clock


def shown(context: Open | None) -> tuple[Any, ...]:
    """What matters of a context."""
    return () if context is None else (context.type, context.id, context.version, dict(context.content))


class Following(RuleBasedStateMachine):
    """A hub, and a subscriber that misses some of its events."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = self.mirror = Session()
        self.count = 0
        self.in_step = True

    def _event(self, name: str, context: list[dict[str, Any]], *, lost: bool) -> None:
        """One event taken by the hub, and heard by the subscriber or not."""
        self.count += 1
        current = self.hub.current
        version = current.version if current and "update" in name else ""
        at = BEGAN + timedelta(seconds=self.count)
        said = replace(read_event(event(name, context, version=version)), at=at)
        try:
            step = take(self.hub, said, version=f"v{self.count}", dialect=HUB)
        except CastFault:
            return
        self.hub = step.session
        self.in_step = self.in_step and not lost
        if not lost:
            self._hear(step.event)

    def _hear(self, said: EventMessage) -> None:
        try:
            self.mirror = follow(self.mirror, said).session
        except Gap:
            self.ask()
        self.in_step = self.in_step or said.name.verb in ("open", "update")

    @rule(report=st.sampled_from(["r1", "r2"]), lost=st.booleans())
    def open(self, report: str, *, lost: bool) -> None:
        self._event("DiagnosticReport-open", report_context("A1", report), lost=lost)

    @rule(id=st.sampled_from("ab"), text=st.text(max_size=3), gone=st.booleans(), lost=st.booleans())
    def update(self, id: str, text: str, *, gone: bool, lost: bool) -> None:
        report = self.hub.current.id if self.hub.current else "r1"
        entry = delete(f"Observation/{id}") if gone else put(observation(text, id))
        self._event("DiagnosticReport-update", update_context(entry, report=report), lost=lost)

    @rule(report=st.sampled_from(["r1", "r2"]), lost=st.booleans())
    def close(self, report: str, *, lost: bool) -> None:
        self._event("DiagnosticReport-close", report_context("A1", report)[:1], lost=lost)

    @rule()
    def ask(self) -> None:
        """As after connecting."""
        self.mirror = read_context(self.hub.describe(), self.mirror.seen)
        self.in_step = True

    @invariant()
    def is_in_step(self) -> None:
        """Whatever was opened or updated last and heard, the subscriber has it as the hub has it."""
        if self.in_step and self.hub.current is not None:
            known = self.mirror.find((self.hub.current.type, self.hub.current.id))
            assert known is None or shown(known) == shown(self.hub.current)


TestFollowing = Following.TestCase


def opened(report: str = "r1") -> EventMessage:
    """An open as a hub distributes it."""
    return replace(read_event(event("DiagnosticReport-open", report_context("A1", report))), version="v1")


def test_an_older_open_is_passed_over() -> None:
    """An open that is older than what is open changes nothing (2.5)."""
    first = opened()
    session = follow(Session(), first).session
    late = replace(opened("r2"), at=first.at - timedelta(seconds=1))
    step = follow(session, late)
    assert (step.is_new, step.session) == (False, session)


def test_an_open_that_is_told_again_begins_nothing() -> None:
    """What a hub tells of an open context on connecting leaves the content that is known; another version is a gap."""
    session = follow(Session(), opened()).session
    said = read_event(event("DiagnosticReport-update", update_context(put(observation("x"))), version="v2"))
    session = follow(session, said).session
    assert follow(session, replace(opened(), version="v2")).session == session
    with pytest.raises(Gap):
        follow(session, replace(opened(), version="v1"))


def test_a_post_that_a_hub_has_distributed_is_read() -> None:
    """What a hub lets through is not ours to judge: a POST without versions counts."""
    session = follow(Session(), opened()).session
    said = read_event(event("DiagnosticReport-update", update_context(put(observation("x"), "POST")), version="v2"))
    current = follow(session, said).session.current
    assert current is not None
    assert (current.version, list(current.content)) == ("v2", ["Observation/f1"])


@pytest.mark.parametrize(
    "document",
    [
        {"context.type": "DiagnosticReport", "context": [{"key": "report"}]},
        {"context.type": "DiagnosticReport", "context": "text"},
        {"context.type": 5, "context": [{}]},
        {"context.type": "DiagnosticReport", "context": [5]},
    ],
)
def test_a_context_that_is_none_is_a_fault(document: dict[str, Any]) -> None:
    """An answer of a hub that can't be read is a fault."""
    with pytest.raises(CastFault):
        read_context(document, ())


@pytest.mark.parametrize("document", [{}, {"context.type": "", "context": []}, {"context": None}])
def test_nothing_open_is_told_in_several_ways(document: dict[str, Any]) -> None:
    """A hub that has nothing open may say so in several ways."""
    assert read_context(document, ("e1",)) == Session(seen=("e1",))
