"""MLLP framing, without a socket."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge_adapters.hl7v2.framing import Decoder, Fault, FaultKind, Frame, encode

LIMIT = 64

# Bytes that matter to framing, often, among others.
stream = st.lists(
    st.sampled_from([b"\x0b", b"\x1c", b"\r", b"\x1c\r", b"MSH", b"\x0bMSH", b"x", b"\0", b"y" * 40])
).map(b"".join)
payloads = st.binary(max_size=LIMIT).filter(lambda p: b"\x1c" not in p and b"\x0b" not in p)


def feed_in_pieces(decoder: Decoder, data: bytes, cuts: list[int]) -> list[Frame | Fault]:
    found: list[Frame | Fault] = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        found += decoder.feed(data[start:stop])
    return found


def frames(*payloads: bytes) -> list[Frame | Fault]:
    return [Frame(payload=payload) for payload in payloads]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"\x0bMSH|a\x1c\r", frames(b"MSH|a"), id="one block"),
        pytest.param(b"\x0bA\x1c\r\x0bB\x1c\r", frames(b"A", b"B"), id="two in one read"),
        pytest.param(b"\r\n\0junk\x0bA\x1c\r\0\0\x0bB\x1c\r", frames(b"A", b"B"), id="garbage before and between"),
        pytest.param(b"\x0bA\x1cB\x1c\r", frames(b"A\x1cB"), id="a lone 1C is content"),
        pytest.param(b"\x0bA\x1c\x0bB\x1c\r", frames(b"A", b"B"), id="the 0D omitted, another block behind"),
        pytest.param(b"\x0bA\x0bB\x1c\r", frames(b"A\x0bB"), id="a 0B without MSH is content"),
        pytest.param(b"\x0b\x1c\r", frames(b""), id="an empty block"),
        pytest.param(
            b"\x0bMSH|cut\x0bMSH|b\x1c\r",
            [Fault(kind=FaultKind.CUT, head=b"MSH|cut", size=7), Frame(payload=b"MSH|b")],
            id="cut by the next block",
        ),
        pytest.param(
            b"\x0b" + b"x" * (LIMIT + 1) + b"\x1c\r\x0bB\x1c\r",
            [Fault(kind=FaultKind.TOO_LARGE, head=b"x" * LIMIT, size=LIMIT + 1), Frame(payload=b"B")],
            id="over the limit, then a good one",
        ),
        pytest.param(b"\x0b" + b"x" * LIMIT + b"\x1c\r", frames(b"x" * LIMIT), id="just at the limit"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", [], id="no block at all"),
    ],
)
def test_blocks_are_found(data: bytes, expected: list[Frame | Fault]) -> None:
    """Every form of block that peers send is found, in one read and byte by byte alike."""
    assert Decoder(LIMIT).feed(data) == expected
    assert feed_in_pieces(Decoder(LIMIT), data, list(range(len(data)))) == expected


@given(st.lists(payloads, max_size=5), st.lists(st.integers(0, 400), max_size=8))
def test_what_is_encoded_is_decoded(sent: list[bytes], cuts: list[int]) -> None:
    """Payloads come back as they were sent, wherever the stream is cut."""
    assert feed_in_pieces(Decoder(LIMIT), b"".join(map(encode, sent)), cuts) == frames(*sent)


@given(stream, st.lists(st.integers(0, 400), max_size=8))
def test_cutting_changes_nothing(data: bytes, cuts: list[int]) -> None:
    """Any bytes give the same blocks, faults and count of skipped bytes however the stream is cut."""
    whole, pieces = Decoder(LIMIT), Decoder(LIMIT)
    assert feed_in_pieces(pieces, data, cuts) + pieces.close() == whole.feed(data) + whole.close()
    assert pieces.skipped == whole.skipped


@given(st.binary(max_size=600))
def test_no_bytes_kill_the_decoder(data: bytes) -> None:
    """Arbitrary bytes raise nothing."""
    decoder = Decoder(LIMIT)
    decoder.feed(data)
    decoder.close()


@given(stream, st.integers(1, 16))
def test_memory_is_bounded(data: bytes, step: int) -> None:
    """However much is fed, no more is held than the limit and a few bytes."""
    decoder = Decoder(LIMIT)
    for start in range(0, len(data), step):
        decoder.feed(data[start : start + step])
        assert decoder.held <= LIMIT + 2 * step + 8


def test_size_of_an_endless_block_is_counted() -> None:
    """A block far over the limit is reported with all the bytes that were sent, when the stream ends."""
    decoder = Decoder(LIMIT)
    decoder.feed(b"\x0b")
    for _ in range(1000):
        assert decoder.feed(b"z" * 100) == []
    assert decoder.close() == [Fault(kind=FaultKind.TOO_LARGE, head=b"z" * LIMIT, size=100_000)]


def test_flush_ends_a_block_without_0d() -> None:
    """A sender that omits the 0D and falls silent after a whole segment has sent a message."""
    decoder = Decoder(LIMIT)
    assert decoder.feed(b"\x0bMSH|a\r\x1c") == []
    assert decoder.may_flush
    assert decoder.flush() == frames(b"MSH|a\r")
    assert decoder.feed(b"\r\x0bB\x1c\r") == frames(b"B")


def test_flush_leaves_content_alone() -> None:
    """A 1C in mid-segment is no end, silence or not: half a message is never taken for a whole one."""
    decoder = Decoder(LIMIT)
    decoder.feed(b"\x0bMSH|a\x1c")
    assert not decoder.may_flush
    assert decoder.flush() == []
    assert decoder.feed(b"b\x1c\r") == frames(b"MSH|a\x1cb")


def test_a_block_that_never_ends_is_cut() -> None:
    """What was read of a block is kept when the stream ends inside it."""
    decoder = Decoder(LIMIT)
    decoder.feed(b"\x0bMSH|a\rPID")
    assert decoder.close() == [Fault(kind=FaultKind.CUT, head=b"MSH|a\rPID", size=9)]


def test_payloads_stay_out_of_repr() -> None:
    """A block in a log line or a traceback shows no content."""
    assert "DOE" not in repr(Frame(payload=b"DOE"))
    assert "DOE" not in repr(Fault(kind=FaultKind.CUT, head=b"DOE", size=3))
