"""The association as bytes and states: PS3.8's table for the acceptor, row by row."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC

from radbridge.config.dicom import Dicom
from radbridge.errors import MessageFault
from radbridge_adapters.dicom.network.association import Association, Call, Closed, Data, Opened, Release, State
from radbridge_adapters.dicom.network.negotiate import Accepted, Negotiator, Refused
from radbridge_adapters.dicom.network.pdu import RELEASE_RP, AbortReason, abort_pdu
from tests.support.dicom_peer import ABORT_PDU, ECHO_RQ, RELEASE_RQ, associate_rq, message, store_rq

NEGOTIATOR = Negotiator(Dicom())
DATA = message(store_rq(), b"abc")


def judge(body: bytes) -> Accepted | Refused:
    return NEGOTIATOR.judge(body, "127.0.0.1", full=False)


def association(*sent: bytes) -> Association:
    made = Association(judge, 4096)
    for data in sent:
        made.receive(data)
    made.outgoing()
    return made


def aborts(reason: AbortReason) -> bytes:
    return abort_pdu(reason)


TABLE = [
    # sent before, sent now, what happens, what goes out, state
    ((), associate_rq(), [Opened], None, State.OPEN),
    ((), associate_rq(called="X"), [Closed], b"\3\0\0\0\0\4\0\1\1\7", State.AWAIT_CLOSE),
    ((), ECHO_RQ, [Closed], aborts(AbortReason.UNEXPECTED_PDU), State.AWAIT_CLOSE),
    ((), RELEASE_RQ, [Closed], aborts(AbortReason.UNEXPECTED_PDU), State.AWAIT_CLOSE),
    ((), ABORT_PDU, [Closed], b"", State.AWAIT_CLOSE),
    ((), b"\x47", [Closed], aborts(AbortReason.UNRECOGNIZED_PDU), State.AWAIT_CLOSE),
    ((associate_rq(),), ECHO_RQ, [Call], b"", State.OPEN),
    ((associate_rq(),), DATA, [Call, Data], b"", State.OPEN),
    ((associate_rq(),), RELEASE_RQ, [Release], b"", State.RELEASING),
    ((associate_rq(),), associate_rq(), [Closed], aborts(AbortReason.UNEXPECTED_PDU), State.AWAIT_CLOSE),
    ((associate_rq(),), RELEASE_RP, [Closed], aborts(AbortReason.UNEXPECTED_PDU), State.AWAIT_CLOSE),
    ((associate_rq(),), ABORT_PDU, [Closed], b"", State.AWAIT_CLOSE),
    ((associate_rq(), RELEASE_RQ), ECHO_RQ, [Closed], aborts(AbortReason.UNEXPECTED_PDU), State.AWAIT_CLOSE),
    ((associate_rq(), ABORT_PDU), ECHO_RQ, [], b"", State.AWAIT_CLOSE),
]


@pytest.mark.parametrize(("before", "now", "happens", "out", "state"), TABLE)
def test_the_states_are_the_standards(
    before: tuple[bytes, ...], now: bytes, happens: list[type], out: bytes | None, state: State
) -> None:
    """Each PDU in each state does what PS3.8 table 9-10 says."""
    made = association(*before)
    assert [type(one) for one in made.receive(now)] == happens
    if out is not None:
        assert made.outgoing() == out
    assert made.state is state


def test_a_release_is_agreed_to_when_asked() -> None:
    """The A-RELEASE-RP goes out only when the driver says that all is answered."""
    made = association(associate_rq(), RELEASE_RQ)
    made.release()
    assert made.outgoing() == RELEASE_RP
    assert made.outgoing() == b""


@given(cuts=st.lists(st.integers(0, 2000), max_size=10))
def test_any_split_gives_the_same_conversation(cuts: list[int]) -> None:
    """A whole conversation in any pieces: the same calls, the same bytes of data."""
    raw = associate_rq() + DATA + ECHO_RQ + message(store_rq(), b"x" * 500, most=100) + RELEASE_RQ
    made = Association(judge, 4096)
    edges = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    happened = [one for a, b in pairwise(edges) for one in made.receive(raw[a:b])]
    data = b"".join(one.data for one in happened if isinstance(one, Data))
    assert data == b"abc" + b"x" * 500
    kinds = [type(one) for one in happened if not isinstance(one, Data)]
    assert kinds == [Opened, Call, Call, Call, Release]
    assert sum(one.ends for one in happened if isinstance(one, Data)) == 2


@given(raw=st.binary(max_size=300), opened=st.booleans())
def test_hostile_bytes_never_raise(raw: bytes, *, opened: bool) -> None:
    """Whatever comes, before or after the request: something happens or nothing, and no exception."""
    association(*([associate_rq()] if opened else [])).receive(raw)


@given(st.data())
def test_a_damaged_request_is_answered_or_a_fault(data: st.DataObject) -> None:
    """An A-ASSOCIATE-RQ with changed, missing or added bytes gives an answer or a MessageFault, nothing else."""
    raw = bytearray(associate_rq()[6:])
    for _ in range(data.draw(st.integers(1, 5))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        judge(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    except MessageFault as fault:
        if fault.reason != "invalid_pdu":
            raise


def test_pynetdicom_reads_the_acceptance() -> None:
    """The A-ASSOCIATE-AC says what was chosen, in a form that pynetdicom decodes."""
    accepted = judge(associate_rq("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.1")[6:])
    assert isinstance(accepted, Accepted)
    pdu = A_ASSOCIATE_AC()
    pdu.decode(accepted.answer)
    assert [(c.context_id, c.result) for c in pdu.presentation_context] == [(1, 0), (3, 3), (5, 0)]
    assert pdu.user_information is not None
    assert pdu.user_information.maximum_length == 131072
    assert set(accepted.contexts) == {1, 5}
