"""Which messages have to keep their order, and in which turn the others go. Pure: no clock, no store.

Messages of one case keep theirs. So do a *wide* one, which changes more than one case, and all that speak of what it
changes: an ADT and the messages that name its patient, a message of two orders and those of either accession. Ids
decide, so that no two ever wait for each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from radbridge.events import CaseEvent, Event, PatientsMerged
from radbridge.flow.turns import Turns
from radbridge.imaging import fold_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Slip:
    """What the order of a message depends on."""

    id: int
    since: datetime
    urgent: bool
    own: frozenset[str]
    """The case that it is about: its accession, or its study where nobody has told that yet."""
    others: frozenset[str] = frozenset()
    """What it speaks of besides. A narrow message changes nothing of it."""
    wide: bool = False
    """Whether it changes `others` too."""

    @property
    def keys(self) -> frozenset[str]:
        """All that it speaks of."""
        return self.own | self.others

    def must_follow(self, earlier: Slip) -> bool:
        """Whether this one must not be applied before `earlier`, which came first."""
        if self.wide or earlier.wide:
            return not self.keys.isdisjoint(earlier.keys)
        return not self.own.isdisjoint(earlier.own)


@dataclass(slots=True)
class Lane:
    """Messages that have to be applied one after the other."""

    slips: list[Slip] = field(default_factory=list)

    @property
    def since(self) -> datetime:
        """When the first of them came."""
        return self.slips[0].since

    @property
    def urgent(self) -> bool:
        """Whether any of them is: what is before it has to go first."""
        return any(slip.urgent for slip in self.slips)


def make_slip(
    *, id: int, since: datetime, urgent: bool, accession: str, touches: Sequence[str], facts: Iterable[Event]
) -> Slip:
    """A message by what was read of it before it was committed, and by the facts that it told."""
    own = {accession} if accession else set()
    others = set(touches)
    wide = bool(touches)
    for fact in facts:
        others.add(name_patient(fact.patient.id))
        if isinstance(fact, CaseEvent):
            own.add(fact.key.accession or f"U:{fact.study.uid}")
        else:
            wide = True
            if isinstance(fact, PatientsMerged):
                others.add(name_patient(fact.prior_id))
    others -= {"", *own}
    return Slip(
        id=id, since=since, urgent=urgent, own=frozenset(own), others=frozenset(others), wide=wide or len(own) > 1
    )


def name_patient(number: str) -> str:
    """The key of a patient's number; empty for none."""
    folded = fold_id(number)
    return f"P:{folded}" if folded else ""


def make_lanes(slips: Sequence[Slip]) -> list[Lane]:
    """Messages as lanes, each in order of arrival: whichever lane goes first, nothing is overtaken that must not be."""
    changed = frozenset[str]().union(*(slip.keys for slip in slips if slip.wide))
    lane_of: dict[tuple[bool, str], Lane] = {}
    for slip in slips:
        handles = {(False, key) for key in slip.own} | {(True, key) for key in slip.keys & changed}
        lane = Lane(slips=[slip])
        for near in {id(found): found for handle in handles if (found := lane_of.get(handle))}.values():
            lane.slips += near.slips
            handles |= {handle for handle, found in lane_of.items() if found is near}
        lane_of |= dict.fromkeys(handles, lane)
        if not handles:
            lane_of[(False, f"#{slip.id}")] = lane
    lanes = list({id(lane): lane for lane in lane_of.values()}.values())
    for lane in lanes:
        lane.slips.sort(key=lambda s: s.id)
    return lanes


def order_lanes(lanes: Iterable[Lane], *, ahead: timedelta) -> list[Lane]:
    """The lanes in their turns: urgent ones before those that came up to `ahead` earlier."""
    waiting = sorted(lanes, key=lambda lane: (lane.since, lane.slips[0].id))
    urgent, other = (deque(lane for lane in waiting if lane.urgent is which) for which in (True, False))
    turns = Turns[Lane](since=lambda lane: lane.since, ahead=ahead)
    ordered: list[Lane] = []
    while (lane := turns.take(urgent, other)) is not None:
        ordered.append(lane)
    return ordered


def find_blocked(slips: Sequence[Slip], elsewhere: Sequence[Slip]) -> frozenset[int]:
    """Which of `slips` must wait for an earlier message in another gateway's share, and what follows them."""
    blocked: list[Slip] = []
    for slip in sorted(slips, key=lambda s: s.id):
        before = (other for other in (*elsewhere, *blocked) if other.id < slip.id)
        if any(slip.must_follow(other) for other in before):
            blocked.append(slip)
    return frozenset(slip.id for slip in blocked)
