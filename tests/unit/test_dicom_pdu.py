"""Framing: any split of the stream gives the same PDUs, and hostile bytes are faults before they are held."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.errors import MessageFault
from radbridge_adapters.dicom.network.pdu import Fragment, Framer, Pdu, PduType, data_pdus

STREAMS = st.lists(
    st.one_of(
        st.tuples(st.just("pdu"), st.binary(max_size=300)),
        st.tuples(st.just("data"), st.binary(max_size=3000)),
    ),
    max_size=6,
)


def joined(parts: list[Pdu | Fragment]) -> list[object]:
    """Fragments of one message put together: where the pieces were cut doesn't matter."""
    out: list[object] = []
    message = b""
    for part in parts:
        if isinstance(part, Pdu):
            out.append(part)
            continue
        message += part.data
        if part.ends:
            out.append((part.context_id, part.is_command, message))
            message = b""
    assert not message
    return out


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 9000), max_size=10), most=st.sampled_from([0, 7, 100, 4096]))
def test_any_split_gives_the_same_messages(stream: list[tuple[str, bytes]], cuts: list[int], most: int) -> None:
    """What is framed depends on the bytes alone, never on the pieces that TCP made of them."""
    raw, expected = b"", []
    for kind, body in stream:
        if kind == "pdu":
            raw += struct.pack(">BxI", PduType.ASSOCIATE_RQ, len(body)) + body
            expected.append(Pdu(PduType.ASSOCIATE_RQ, body))
        else:
            raw += data_pdus(5, body, is_command=False, most=most)
            expected.append((5, False, body))  # type: ignore[arg-type]
    framer = Framer(8192)
    edges = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    parts = [part for start, stop in pairwise(edges) for part in framer.feed(raw[start:stop])]
    assert joined(parts) == expected


@given(raw=st.binary(max_size=400), step=st.integers(1, 400))
def test_hostile_bytes_raise_nothing_but_message_faults(raw: bytes, step: int) -> None:
    """Any bytes are PDUs, or a MessageFault with a reason that has its A-ABORT."""
    framer = Framer(4096)
    try:
        for at in range(0, len(raw), step):
            list(framer.feed(raw[at : at + step]))
    except MessageFault as fault:
        known = fault.reason in {"unrecognized_pdu", "invalid_pdu"}
        if not known:
            raise


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"G", "unrecognized_pdu"),
        (b"\x00", "unrecognized_pdu"),
        (b"\x08", "unrecognized_pdu"),
        (struct.pack(">BxI", 1, 70_000), "invalid_pdu"),
        (struct.pack(">BxI", 5, 5), "invalid_pdu"),
        (struct.pack(">BxI", 4, 4096 + 7), "invalid_pdu"),
        (struct.pack(">BxI", 4, 0), "invalid_pdu"),
        (struct.pack(">BxIIBB", 4, 6, 1, 1, 0), "invalid_pdu"),
        (struct.pack(">BxIIBB", 4, 6, 3, 1, 0), "invalid_pdu"),
    ],
)
def test_what_no_pdu_can_be_is_told_by_its_head(head: bytes, reason: str) -> None:
    """A type that is none, or a length that can't be, is a fault before a byte of its body is waited for."""
    with pytest.raises(MessageFault) as caught:
        list(Framer(4096).feed(head))
    assert caught.value.reason == reason


def test_a_value_is_handed_out_as_it_comes() -> None:
    """Of a PDU of 1 MiB nothing is held back: each piece comes out as it goes in."""
    raw = data_pdus(1, bytes(1 << 20), is_command=False, most=0)
    framer = Framer(1 << 21)
    sizes = [
        len(part.data)
        for at in range(0, len(raw), 1000)
        for part in framer.feed(raw[at : at + 1000])
        if isinstance(part, Fragment)
    ]
    assert sizes[:3] == [988, 1000, 1000]
    assert sum(sizes) == 1 << 20
