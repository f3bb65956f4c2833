"""Acknowledgements: valid, matched, and free of what the message said."""

from __future__ import annotations

import re
import tracemalloc
from dataclasses import replace

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from radbridge_adapters.hl7v2.ack import APPLICATION, AckWriter, choose_mode
from radbridge_adapters.hl7v2.er7 import Message
from radbridge_adapters.hl7v2.faults import ANSWERS, fault
from radbridge_adapters.hl7v2.header import Header, read_header

HEADER = Header(
    application="RIS", facility="HOSP", kind="ORU^R01", event="R01", control_id="M1", processing="P", version="2.3"
)
WRITER = AckWriter("RADBRIDGE", "HOSP")


def validate(raw: bytes) -> Message:
    text = raw.decode("utf-8")
    parse_message(text, validation_level=VALIDATION_LEVEL.STRICT).validate()
    return Message(text)


def test_positive_answer() -> None:
    """AA echoes the control id, turns sender and receiver around, and is strictly valid 2.5.1."""
    message = validate(WRITER.accept(HEADER))
    msa = message.first("MSA")
    assert msa is not None
    assert (msa.text(1), msa.text(2)) == ("AA", "M1")
    assert [message.msh.text(n) for n in (3, 4, 5, 6, 12)] == ["RADBRIDGE", "HOSP", "RIS", "HOSP", "2.5.1"]
    assert message.msh.raw(9) == "ACK^R01^ACK"
    assert message.first("ERR") is None


@pytest.mark.parametrize("reason", sorted(ANSWERS))
def test_negative_answers(reason: str) -> None:
    """Every fault has a strictly valid answer with place, code of table 0357, severity and a text for the user."""
    message = validate(WRITER.refuse(HEADER, reason))
    msa, err = message.first("MSA"), message.first("ERR")
    assert msa is not None
    assert err is not None
    assert (msa.text(1), msa.text(2)) == (APPLICATION[ANSWERS[reason].outcome], "M1")
    assert (err.raw(2), err.text(3), err.text(3, 3)) == (
        ANSWERS[reason].location,
        ANSWERS[reason].code.value,
        "HL70357",
    )
    assert (err.text(4), err.text(8)) == ("E", ANSWERS[reason].message)


def test_answer_to_no_message() -> None:
    """What has no MSH at all is answered with AR and an empty MSA-2."""
    message = Message(WRITER.refuse(Header(), "no_msh").decode())
    msa = message.first("MSA")
    assert msa is not None
    assert (msa.text(1), msa.raw(2)) == ("AR", "")


def test_own_control_ids_are_new_and_short() -> None:
    """MSH-10 of an answer is never used twice and fits the 20 characters of 2.5.1."""
    ids = [Message(WRITER.accept(HEADER).decode()).msh.text(10) for _ in range(100)]
    assert len(set(ids)) == 100
    assert max(map(len, ids)) <= 20


@pytest.mark.parametrize("control_id", ["A&B", "a^b", "id with blank", "\\E\\x", "ÄÖ", "9" * 199])
def test_echo_is_exact(control_id: str) -> None:
    """MSA-2 is MSH-10 character for character, so that the sender knows its own id again."""
    header = read_header(Message(f"MSH|^~\\&|A|B|||||ORU^R01|{control_id}|P|2.5"))
    assert f"MSA|AA|{control_id}\r" in WRITER.accept(header).decode()


def test_echo_across_delimiters() -> None:
    """An id that holds one of our delimiters is escaped when the sender's are others."""
    header = read_header(Message("MSH#@!$%#A#B#####ORU@R01#id|1#P#2.5"))
    msa = Message(WRITER.accept(header).decode()).first("MSA")
    assert msa is not None
    assert msa.text(2) == "id|1"


def test_a_hostile_header_stays_in_its_fields() -> None:
    """Line ends and nonsense in a header can't add segments to the answer."""
    header = Header(application="A\nMSA|AA|x", control_id="1\x0b\x1c", event="R01|x", processing="Z|")
    lines = WRITER.refuse(header, "no_accession").decode().split("\r")
    assert [line[:3] for line in lines] == ["MSH", "MSA", "ERR", ""]
    assert not re.search("[\x00-\x0c\x0e-\x1f]", "".join(lines))


WORDS = ("", "AL", "NE", "ER", "SU")
OUTCOMES = {"applied": "", "not applied": "not_applied", "not stored": "not_stored", "rejected": "no_msh"}
"""What may become of a message -> the fault; of the first two it is taken in, and the end comes later."""


def _asked(word: str, *, good: bool) -> bool:
    """Table 0155, read out."""
    return word == "AL" or (word == "SU" and good) or (word == "ER" and not good)


@pytest.mark.parametrize("accept", WORDS)
@pytest.mark.parametrize("application", WORDS)
@pytest.mark.parametrize("outcome", [*OUTCOMES, "still open"])
def test_every_mode(accept: str, application: str, outcome: str) -> None:
    """MSH-15 x MSH-16 x outcome: what leaves at once, and what leaves later, is what was asked for and never more."""
    header = replace(HEADER, accept_ack=accept, application_ack=application)
    taken = outcome in ("applied", "not applied", "still open")
    first = _code(WRITER.accept(header) if taken else WRITER.refuse(header, OUTCOMES[outcome]))
    later = _code(WRITER.conclude(header, OUTCOMES[outcome])) if outcome in ("applied", "not applied") else ""
    if not accept and not application:
        assert (first, later) == ({"not stored": "AE", "rejected": "AR"}.get(outcome, "AA"), "")
        return
    letter = {"not stored": "E", "rejected": "R"}.get(outcome, "A")
    if _asked(accept, good=taken):
        assert first == f"C{letter}"
    elif not taken and _asked(application, good=False):
        assert first == f"A{letter}"
    else:
        assert first == ""
    good = outcome == "applied"
    wanted = outcome in ("applied", "not applied") and _asked(application, good=good)
    assert later == (("AA" if good else "AE") if wanted else "")


def _code(answer: bytes) -> str:
    msa = validate(answer).first("MSA") if answer else None
    return msa.text(1) if msa else ""


def test_mode_words() -> None:
    """An explicit null says nothing, case and blanks don't count, and an unknown word gets an answer."""
    assert not choose_mode('""', '""').is_enhanced
    assert choose_mode(" al ", '""') == choose_mode("AL", "NE")
    assert choose_mode("YES", "") == choose_mode("AL", "")


def test_nobody_fills_the_memory() -> None:
    """What is remembered of headers is short, however long the fields are that somebody sends."""
    long = "L" * 100_000
    tracemalloc.start()
    for n in range(50):
        more = f"{n}{long}"
        message = Message(f"MSH|^~\\&|RIS|HOSP|||||ORU^R01^{more}|M1|P^{more}|2.3^{more}|||{more}|{more}")
        header = read_header(message)
        assert (header.kind, header.processing, header.version) == ("ORU^R01", "P", "2.3")
        assert WRITER.mode(header).is_enhanced
        del message, header, more
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10 * len(long)


def test_a_site_may_force_original_mode() -> None:
    """`ack_mode = "original"` answers AA to a message that asks for enhanced mode, and nothing later."""
    writer = AckWriter("RADBRIDGE", "HOSP", original=True)
    header = replace(HEADER, accept_ack="NE", application_ack="AL")
    assert _code(writer.accept(header)) == "AA"
    assert writer.conclude(header) == b""


def test_faults_name_the_place() -> None:
    """The exception for a fault carries the fixed word and the place in the standard's terms."""
    error = fault("no_accession")
    assert (error.reason, error.where) == ("no_accession", "OBR-18")
    assert fault("no_msh").where == "MSH"
