"""Batches: every message for itself, answers in their order, and trailers that lie."""

from __future__ import annotations

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radbridge.errors import MessageFault
from radbridge_adapters.hl7v2.ack import AckWriter
from radbridge_adapters.hl7v2.batch import BatchFile, is_batch, read_batch, write_answers
from radbridge_adapters.hl7v2.files import split_messages

WRITER = AckWriter("RADBRIDGE", "HOSP")
FHS = b"FHS|^~\\&|RIS|HOSP|RADBRIDGE||20260102||||F1\r"
BHS = b"BHS|^~\\&|RIS|HOSP|RADBRIDGE||20260102||||B1\r"


def message(number: int) -> bytes:
    return b"MSH|^~\\&|RIS|HOSP|||20260102||ORU^R01|M%d|P|2.5.1\rPID|1||900001\r" % number


def batch(*numbers: int, told: int | None = None) -> bytes:
    return BHS + b"".join(map(message, numbers)) + b"BTS|%d\r" % (len(numbers) if told is None else told)


def read(block: bytes, at_most: int = 100) -> BatchFile:
    return read_batch(block, at_most=at_most)


def test_a_batch() -> None:
    """Messages come out byte for byte, in their order."""
    found = read(batch(1, 2, 3))
    assert [b.messages for b in found.batches] == [(message(1), message(2), message(3))]
    assert found.agrees
    assert not is_batch(message(1))


@pytest.mark.parametrize("lead", [b"", b"\r\n", b"\xef\xbb\xbf"])
def test_a_file_of_batches(lead: bytes) -> None:
    """FHS around several BHS, with line feeds and a byte order mark that some senders add."""
    block = lead + FHS + batch(1, 2).replace(b"\r", b"\r\n") + batch() + batch(3) + b"FTS|3\r"
    assert is_batch(block)
    found = read(block)
    assert [b.messages for b in found.batches] == [(message(1), message(2)), (), (message(3),)]
    assert found.agrees


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(batch(1, 2, told=5), id="BTS says more"),
        pytest.param(FHS + batch(1) + b"FTS|7\r", id="FTS says more"),
        pytest.param(batch(1, 2, 3, told=0), id="BTS says none"),
    ],
)
def test_lying_trailers(block: bytes) -> None:
    """A trailer that doesn't agree is noticed, and every message stands."""
    found = read(block)
    assert not found.agrees
    assert [m for b in found.batches for m in b.messages] == [m.raw for m in split_messages(block)]


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(FHS + FHS + batch(1), id="file in a file"),
        pytest.param(BHS + message(1) + batch(2), id="batch in a batch"),
        pytest.param(BHS + message(1) + b"BTS|1\r" + FHS, id="file behind a batch"),
        pytest.param(FHS + batch(1) + b"FTS|1\r" + message(2), id="message behind the file"),
    ],
)
def test_other_nesting_is_refused(block: bytes) -> None:
    """Anything but FHS around BHS around messages is refused: which trailer counts what would be a guess."""
    with pytest.raises(MessageFault) as caught:
        read(block)
    assert caught.value.reason == "batch_deep"


def test_too_many() -> None:
    """A batch over the limit is refused whole."""
    assert len(read(batch(*range(5)), at_most=5).batches[0].messages) == 5
    with pytest.raises(MessageFault) as caught:
        read(batch(*range(6)), at_most=5)
    assert caught.value.reason == "batch_size"


def test_answers_as_python_hl7_reads_them() -> None:
    """The answers are a batch of their own, told apart by a parser that nobody here wrote; BHS-12 is their BHS-11."""
    asked = read(FHS + batch(1, 2, told=3) + b"FTS|1\r")
    answers = [[b"MSH|^~\\&|A\rMSA|AA|M1\r", b"MSH|^~\\&|A\rMSA|AE|M2\r"]]
    found = hl7.parse_file(write_answers(WRITER, asked, answers).decode())
    ((first, second),) = found
    assert [str(m.segment("MSA")[2]) for m in (first, second)] == ["M1", "M2"]
    assert str(found.header[12]) == "F1"
    assert str(found[0].header[12]) == "B1"
    assert str(found[0].header[5]) == "RIS"
    assert (str(found[0].trailer[1]), str(found[0].trailer[2])) == ("2", "3 messages were announced and 2 came")


def test_nobody_wants_an_answer() -> None:
    """A batch whose messages want no acknowledgement gets none itself."""
    assert write_answers(WRITER, read(batch(1, 2)), [[b"", b""]]) == b""


segments = st.lists(
    st.sampled_from(
        [FHS, BHS, b"BTS|1\r", b"FTS|1\r", message(1), b"ZZZ|x\r", b"\r", b"BTS\r", b"BTS|99999999999999\r"]
    )
)


@given(segments)
def test_nothing_is_lost(parts: list[bytes]) -> None:
    """Whatever the nesting, a block is refused as a whole or each of its messages comes out once."""
    block = b"".join(parts)
    try:
        found = read(block)
    except MessageFault:
        return
    came = b"".join(m for b in found.batches for m in b.messages)
    assert came.count(b"MSH|") == block.count(b"MSH|")
    assert came.count(b"ZZZ|") == block.count(b"ZZZ|")
