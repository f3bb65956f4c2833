"""The lazy ER7 reader, beside hl7apy as its oracle."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message, parse_segment
from hl7apy.v2_5_1 import ST
from hypothesis import given, settings
from hypothesis import strategies as st

from radbridge.errors import MessageFault
from radbridge_adapters.hl7v2.er7 import STANDARD, Delimiters, Message, Segment, escape, read_delimiters, unescape

MESSAGES = Path(__file__).parents[1] / "messages"
READABLE = sorted(MESSAGES.glob("*.hl7"), key=lambda path: path.name)

letters = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp"), exclude_characters="|^~\\&")
part = st.text(letters, min_size=1, max_size=6).filter(lambda text: text != '""')  # which takes a value away


def separated(by: str, one: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Parts, empty ones among them, the last one never: hl7apy drops separators that nothing follows."""
    return st.tuples(st.lists(st.just("") | one, max_size=2), one).map(lambda parts: by.join([*parts[0], parts[1]]))


fields = separated("^", separated("&", part))
repeated = st.lists(fields, min_size=1, max_size=2).map("~".join)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=30)


LEFT_ALONE = re.compile(r"[|^&~\\][HNFSTRE][|^&~\\]")
"""What hl7apy takes for an escape sequence, and doesn't escape; hypothesis finds some in our own code."""


@settings(max_examples=50)  # hl7apy needs some 10 ms for each
@given(st.fixed_dictionaries({3: repeated, 5: repeated, 11: repeated}))
def test_parts_agree_with_hl7apy(values: dict[int, str]) -> None:
    """Fields, repetitions, components and subcomponents are where hl7apy finds them."""
    line = "PID|" + "|".join(values.get(position, "") for position in range(1, 12))
    ours = Segment(line, STANDARD)
    theirs = parse_segment(line, version="2.5.1", validation_level=VALIDATION_LEVEL.TOLERANT)
    for position in values:
        repeats = [field for field in theirs.children if field.name == f"PID_{position}"]
        assert [value.raw for value in ours.repeats(position)] == [field.to_er7() for field in repeats]
        for value, field in zip(ours.repeats(position), repeats, strict=True):
            for component in field.children:
                number = int(component.name.split("_")[1])
                assert "&".join(value.subcomponents(number)) == component.to_er7()


@given(texts.filter(lambda text: not LEFT_ALONE.search(text)))
def test_escapes_agree_with_hl7apy(text: str) -> None:
    """A value that hl7apy escapes is read back as it was."""
    assert unescape(ST(text).to_er7()) == text


@given(texts)
def test_what_is_escaped_is_read_back(text: str) -> None:
    """Whatever is written into a field comes out of it, and no separator of it gets loose."""
    written = escape(text)
    assert unescape(written) == text
    assert not set("|^~&") & set(written)


@pytest.mark.parametrize("path", READABLE, ids=lambda path: path.stem)
def test_fixtures_agree_with_hl7apy(path: Path) -> None:
    """Every fixture has the segments and fields that hl7apy finds in it."""
    text = path.read_bytes().decode("latin-1").replace("\0", "")
    theirs = parse_message(text, validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False)
    ours = Message(text)
    assert [segment.name for segment in ours.segments] == [segment.name for segment in theirs.children]
    for mine, other in zip(ours.segments, theirs.children, strict=True):
        if mine.name != "MSH":
            by_position: dict[int, list[str]] = {}
            for field in other.children:
                # hl7apy writes an escape character that it read as a formatting command's escaped once more.
                written = field.to_er7().replace("\\E\\", "\\")
                by_position.setdefault(int(field.name.split("_")[1]), []).append(written)
            for position, repeats in by_position.items():
                assert mine.raw(position) == ours.delimiters.repetition.join(repeats)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"one\.br\two", "one\ntwo"),
        (r"one\.sp2\two", "one\n\ntwo"),
        (r"a\.sk3\b", "a   b"),
        (r"\.in+4\text\.ti-2\more", "textmore"),
        (r"\H\bold\N\ plain", "bold plain"),
        (r"\X41C3A9\ and \XE9\ ", "Aé and é "),
        (r"\X4\ stays", r"\X4\ stays"),
        (r"\Zlocal\ stays", r"\Zlocal\ stays"),
        (r"\Q\ stays", r"\Q\ stays"),
        (r"C:\temp", r"C:\temp"),
        (r"\E\T\E\ ", r"\T\ "),
        ("\\", "\\"),
    ],
)
def test_escape_sequences(written: str, meant: str) -> None:
    """Each escape sequence means what 2.5.1, 2.7 says; unknown ones and lone escape characters stay."""
    assert unescape(written) == meant


def test_delimiters_come_from_the_header() -> None:
    """MSH-1 and MSH-2 decide, nothing is assumed."""
    message = Message("MSH#@!$%#A\rOBX#1#TX#a@b%c!d#x $F$ y")
    obx = message.segments[1]
    assert message.delimiters == Delimiters(field="#", component="@", repetition="!", escape="$", subcomponent="%")
    assert (obx.text(3, 2, 2), obx.repeats(3)[1].text(), obx.whole(4)) == ("c", "d", "x # y")


@pytest.mark.parametrize(
    "head", ["MSH", "MSH|", "MSH||||", "MSH|^^^^|", "MSHA^~\\&", "MSH|abcd|", "MSH ^~\\& "], ids=repr
)
def test_contradictory_delimiters_are_refused(head: str) -> None:
    """A header whose delimiters can't be told apart is no header."""
    with pytest.raises(MessageFault) as caught:
        Message(head)
    assert caught.value.reason == "no_msh"


def test_fewer_and_more_encoding_characters() -> None:
    """Senders may leave out encoding characters that they don't use, and 2.7 adds a fifth."""
    assert read_delimiters("MSH|^~|A|") == STANDARD
    assert read_delimiters("MSH|^~\\&#|") == STANDARD


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"], ids=repr)
def test_segment_ends(end: str) -> None:
    """Segments end in CR by the standard, in LF or CRLF from careless peers, with blank lines or a byte order mark."""
    message = Message(end.join(["\ufeffMSH|^~\\&|A", "", "PID|1", "OBX|2", ""]))
    assert [segment.name for segment in message.segments] == ["MSH", "PID", "OBX"]


def test_null_and_absent() -> None:
    """An explicit null is told from an empty field, and both are read as no text."""
    segment = Segment('PID|""||a^""^c|', STANDARD)
    assert segment.is_null(1)
    assert not segment.is_null(2)
    assert (segment.text(1), segment.whole(1), segment.repeats(1)) == ("", "", ())
    assert segment.repeats(3)[0].components() == ["a", "", "c"]
    assert segment.text(40, 3) == ""


def test_header_fields_count_from_the_separator() -> None:
    """MSH-1 is the separator itself, so that MSH-9 is the type."""
    msh = Message("MSH|^~\\&|A|B|C|D|T||ORU^R01|ID").msh
    assert (msh.raw(1), msh.raw(2), msh.text(9, 2), msh.text(10)) == ("|", "^~\\&", "R01", "ID")


@given(st.text(max_size=80))
def test_no_text_kills_the_reader(text: str) -> None:
    """Arbitrary text behind a header is read without an error, whatever is asked of it."""
    for segment in Message("MSH|^~\\&|" + text).segments:
        for position in range(6):
            segment.whole(position)
            for value in segment.repeats(position):
                value.components()
                value.subcomponents(2)
