"""`docs/reference/hl7v2.md` says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from radbridge.config import Hl7v2
from radbridge.wire import Received
from radbridge_adapters.hl7v2.accession import AccessionPlaces, parse_places
from radbridge_adapters.hl7v2.ack import APPLICATION, AckWriter
from radbridge_adapters.hl7v2.compose import Addressing, Composer, require_valid, specimen
from radbridge_adapters.hl7v2.er7 import Message
from radbridge_adapters.hl7v2.faults import ANSWERS
from radbridge_adapters.hl7v2.framing import Frame
from radbridge_adapters.hl7v2.header import EVENTS
from radbridge_adapters.hl7v2.reception import Reception
from radbridge_adapters.hl7v2.report import CODES
from radbridge_adapters.hl7v2.status import MEANINGS
from radbridge_adapters.hl7v2.translate import Translator

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "hl7v2.md").read_text(encoding="utf-8")
EXAMPLES = [
    (use, event, text.replace("\n", "\r").encode())
    for use, event, text in re.findall(r"```hl7 (\w+) ?(\w*)\n(.*?)```", PAGE, re.DOTALL)
]
PLACES = AccessionPlaces(places=parse_places(Hl7v2().accession_from))


@pytest.mark.parametrize(("event", "raw"), [(event, raw) for use, event, raw in EXAMPLES if use == "in"])
def test_inbound_examples(event: str, raw: bytes) -> None:
    """Each inbound example is accepted and becomes the fact that the page names."""
    _, judged = Reception(AckWriter("A", ""), PLACES, "utf-8").judge(Frame(payload=raw), "peer")
    assert isinstance(judged, Received)
    assert [type(fact).__name__ for fact in Translator(Hl7v2(), PLACES)(raw)] == [event]


@pytest.mark.parametrize("raw", [raw for use, _, raw in EXAMPLES if use != "in"])
def test_answers_and_outbound_examples(raw: bytes) -> None:
    """Each answer and outbound example is strictly valid HL7 2.5.1."""
    require_valid(raw, "the page")


def test_outbound_examples_look_like_ours() -> None:
    """The outbound examples have the segments and filled fields of what the composer writes."""
    ours, (case, draft) = Composer(Addressing(application="RADBRIDGE", receiving_application="DICTATION")), specimen()
    shown = [Message(raw.decode()) for use, _, raw in EXAMPLES if use == "out"]
    written = [Message(m(case, draft, "D1").decode()) for m in (ours.compose, ours.compose_withdrawal)]
    for example, message in zip(shown, written, strict=True):
        assert [_filled(s) for s in example.segments] == [_filled(s) for s in message.segments]


def _filled(segment: object) -> tuple[str, list[int]]:
    from radbridge_adapters.hl7v2.er7 import Segment

    assert isinstance(segment, Segment)
    return segment.name, [position for position in range(1, len(segment) + 1) if segment.raw(position)]


@pytest.mark.parametrize("reason", sorted(ANSWERS))
def test_faults(reason: str) -> None:
    """Each fault is in the table, with its answer, place and code."""
    answer = ANSWERS[reason]
    place = f" {answer.location}" if answer.location else ""
    assert f"| `{reason}` | {APPLICATION[answer.outcome]} |{place} | {answer.code.value} |" in PAGE


def test_tables() -> None:
    """Each type, event, section code and state of the tables is on the page."""
    for kind, events in EVENTS.items():
        assert f"{kind}^{events[0]}" in PAGE
        assert all(event in PAGE for event in events)
    assert [code for code in CODES if code not in PAGE] == []
    for field, meanings in MEANINGS.items():
        (row,) = re.findall(rf"^\| {field} \|(.*)$", PAGE, re.MULTILINE)
        assert set(re.findall(r"\b[A-Z]{1,2}\b", row)) == set(meanings)
