"""The order that messages keep, and the one they needn't."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from radbridge.case import CaseKey, Patient, Study
from radbridge.events import Event, OrderPlaced, PatientsMerged, PatientUpdated
from radbridge.flow.ordering import Slip, find_blocked, make_lanes, make_slip, order_lanes

BEGAN = datetime(2026, 11, 22, tzinfo=UTC)
AHEAD = timedelta(seconds=30)
CASES = [f"A{n}" for n in range(4)]
PATIENTS = [f"P:{n}" for n in range(3)]


@st.composite
def slips(draw: st.DrawFn) -> list[Slip]:
    """Some messages: of a case and its patient, of a patient alone, of two cases."""
    found = []
    for id in range(draw(st.integers(0, 14))):
        own = frozenset(draw(st.lists(st.sampled_from(CASES), max_size=2)))
        others = frozenset(draw(st.lists(st.sampled_from(PATIENTS), max_size=2)))
        wide = len(own) != 1 or draw(st.booleans())
        since = BEGAN + timedelta(seconds=draw(st.integers(0, 60)))
        found.append(Slip(id=id, since=since, urgent=draw(st.booleans()), own=own, others=others, wide=wide))
    return found


@given(slips())
def test_no_turn_breaks_an_order(waiting: list[Slip]) -> None:
    """However lanes take turns, each message is there once, and after all that it must follow."""
    ordered = [slip for lane in order_lanes(make_lanes(waiting), ahead=AHEAD) for slip in lane.slips]
    assert sorted(s.id for s in ordered) == [s.id for s in waiting]
    for first, second in combinations(ordered, 2):
        assert not (second.id < first.id and first.must_follow(second))


@given(slips(), st.data())
def test_two_gateways_keep_the_order(waiting: list[Slip], data: st.DataObject) -> None:
    """Two gateways that each apply what isn't blocked by the other's come to an end, in an order that holds."""
    owner = {slip.id: data.draw(st.integers(0, 1)) for slip in waiting}
    left = list(waiting)
    applied: list[Slip] = []
    while left:
        who = data.draw(st.integers(0, 1))
        for turn in (who, 1 - who):
            mine = [s for s in left if owner[s.id] == turn]
            blocked = find_blocked(mine, [s for s in left if owner[s.id] != turn])
            free = [s for lane in order_lanes(make_lanes(mine), ahead=AHEAD) for s in lane.slips if s.id not in blocked]
            if free:
                break
        assert free
        applied += free
        left = [s for s in left if s not in free]
    for first, second in combinations(applied, 2):
        assert not (second.id < first.id and first.must_follow(second))


def order(accession: str, patient: str = "") -> OrderPlaced:
    """An order."""
    return OrderPlaced(key=CaseKey(accession=accession), at=BEGAN, patient=Patient(id=patient))


def slip(id: int, *facts: Event, accession: str = "", urgent: bool = False) -> Slip:
    """A message that told these facts."""
    return make_slip(id=id, since=BEGAN, urgent=urgent, accession=accession, touches=(), facts=facts)


def test_cases_of_one_patient_go_apart_until_an_adt_comes() -> None:
    """Two cases of a patient are two lanes; with an update of the patient between them they are one."""
    first, second = slip(1, order("A1", "007"), accession="A1"), slip(3, order("A2", "7"), accession="A2")
    assert len(make_lanes([first, second])) == 2
    adt = slip(2, PatientUpdated(patient=Patient(id="7 "), at=BEGAN))
    assert [[s.id for s in lane.slips] for lane in make_lanes([first, adt, second])] == [[1, 2, 3]]
    merge = slip(2, PatientsMerged(patient=Patient(id="9"), prior_id="7", at=BEGAN))
    assert len(make_lanes([first, merge, second])) == 1


def test_a_message_of_two_orders_is_wide() -> None:
    """It stands between the messages of either accession."""
    both = slip(2, order("A1"), order("A2"), accession="A1")
    lanes = make_lanes([slip(1, order("A1"), accession="A1"), both, slip(3, order("A2"), accession="A2")])
    assert [[s.id for s in lane.slips] for lane in lanes] == [[1, 2, 3]]


def test_studies_without_an_accession_keep_their_own_order() -> None:
    """What is told of a study before anybody named its accession stays in order, apart from other studies."""
    told = [OrderPlaced(key=CaseKey(accession=""), at=BEGAN, study=Study(uid=uid)) for uid in ("1.2", "1.3", "1.2")]
    assert [[s.id for s in lane.slips] for lane in make_lanes([slip(n, fact) for n, fact in enumerate(told)])] == [
        [0, 2],
        [1],
    ]


def test_an_urgent_message_takes_its_case_along() -> None:
    """A lane with an urgent message goes first, with what is before it in the case."""
    lanes = make_lanes([slip(1), slip(2, accession="A2"), slip(3, accession="A2", urgent=True)])
    assert [s.id for lane in order_lanes(lanes, ahead=AHEAD) for s in lane.slips] == [2, 3, 1]
