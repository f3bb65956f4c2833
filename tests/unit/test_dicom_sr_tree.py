"""Trees of Structured Reports that nobody should send: deep, wide, damaged, incomplete."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from radbridge.errors import MessageFault
from radbridge.imaging import MAX_LINE_CHARS, MAX_MEASURED, Measured
from radbridge.text.controls import holds_controls
from radbridge_adapters.dicom.encoding.raw import read_dataset
from radbridge_adapters.dicom.encoding.values import Elements
from radbridge_adapters.dicom.incoming.sr_tree import MAX_DEPTH, MAX_NODES, read_tree
from tests.support.sr_specimens import (
    DEVICE,
    DIAMETER,
    FINDING,
    FINDINGS,
    GROUP,
    LATERALITY,
    LEFT,
    LUNG,
    NODULE,
    OBSERVER,
    OLD_NODULE,
    RIGHT,
    SITE,
    TRACKING,
    TRANSLATE,
    ai_report,
    code,
    comprehensive,
    lines,
    node,
    num,
    read,
    write,
)


def test_missing_parts() -> None:
    """Items without a concept, a value or a type are skipped and counted; the rest is read."""
    nameless, typeless, by_reference = node("NUM"), Dataset(), Dataset()
    typeless.RelationshipType = "CONTAINS"
    by_reference.RelationshipType, by_reference.ReferencedContentItemIdentifier = "INFERRED FROM", [1, 1]
    unmeasured = node("NUM", DIAMETER, MeasuredValueSequence=[])
    report = read(comprehensive(nameless, typeless, by_reference, unmeasured, num(DIAMETER, "5", "mm")))
    assert [m.line for m in report.measured] == ["[Acme CT 3000] diameter 5 mm"]
    assert report.skipped == 1


def test_no_content() -> None:
    """A report without any content says so, and where."""
    with pytest.raises(MessageFault) as caught:
        TRANSLATE(write(comprehensive()))
    assert (caught.value.reason, caught.value.where) == ("no_content", "(0040,A730)")


def test_radiomics_leave_room() -> None:
    """Of more numbers than a case holds, those that dictated text can be held to stay."""
    textures = [num((str(n), "IBSI", f"Texture {n}"), "1", "1") for n in range(MAX_MEASURED + 50)]
    report = comprehensive(
        *textures, node("CONTAINER", GROUP, code(FINDING, NODULE), code(SITE, LUNG), num(DIAMETER, "6", "mm"))
    )
    found = lines(report)
    assert len(found) == MAX_MEASURED
    assert found[-1] == "[Acme CT 3000] 6 mm nodule, lung"


def _nested(depth: int, *, is_defined: bool) -> bytes:
    """A content sequence in another, `depth` times, explicit little endian."""
    content = b"\x40\x00\x40\xa0CS\x04\x00NUM "
    for _ in range(depth):
        if is_defined:
            item = b"\xfe\xff\x00\xe0" + len(content).to_bytes(4, "little") + content
            sequence = len(item).to_bytes(4, "little") + item
        else:
            item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + content + b"\xfe\xff\x0d\xe0\0\0\0\0"
            sequence = b"\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0\0\0\0\0"
        content = b"\x40\x00\x40\xa0CS\x0a\x00CONTAINER " + b"\x40\x00\x30\xa7SQ\0\0" + sequence
    return content


def test_deep_tree() -> None:
    """A tree deeper than the limit is read down to it, and its depth costs nothing."""
    tree = read_tree(Elements.of(read_dataset(_nested(60, is_defined=True), "1.2.840.10008.1.2.1")))
    assert sum(1 for _ in tree.root.walk()) == MAX_DEPTH
    assert tree.skipped == 1


@pytest.mark.parametrize("is_defined", [True, False])
def test_bottomless_tree(is_defined: bool) -> None:
    """Items in one another without end are refused by a fault, not by a crash."""
    with pytest.raises(MessageFault, match="nest deeper"):
        read_dataset(_nested(2000, is_defined=is_defined), "1.2.840.10008.1.2.1")


def test_wide_tree() -> None:
    """A tree of more items than the limit is cut there."""
    item = b"\x40\x00\x40\xa0CS\x04\x00CODE"
    items = (b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item) * (MAX_NODES + 10)
    content = b"\x40\x00\x30\xa7SQ\0\0" + len(items).to_bytes(4, "little") + items
    tree = read_tree(Elements.of(read_dataset(content, "1.2.840.10008.1.2.1")))
    assert len(tree.root.children) == MAX_NODES - 1
    assert tree.skipped == 1


CONCEPTS = st.sampled_from(
    [GROUP, FINDING, FINDINGS, SITE, LATERALITY, TRACKING, DIAMETER, OBSERVER, ("111001", "DCM", "Algorithm Name")]
)
VALUES = st.sampled_from([NODULE, OLD_NODULE, LUNG, RIGHT, LEFT, DEVICE, ("", "", ""), ("x", "99X", "Y\x00\u202e")])
RELATIONS = st.sampled_from(["CONTAINS", "HAS PROPERTIES", "HAS CONCEPT MOD", "HAS OBS CONTEXT", "INFERRED FROM", ""])
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\\"), max_size=40)


@st.composite
def items(draw: st.DrawFn, depth: int = 3) -> Dataset:
    """Any content item, of any relation, with anything below it."""
    concept, relation = draw(CONCEPTS), draw(RELATIONS)
    below = draw(st.lists(items(depth - 1), max_size=3)) if depth else []
    kind = draw(st.sampled_from(["CONTAINER", "NUM", "CODE", "TEXT", "UIDREF", "IMAGE", ""]))
    if kind == "NUM":
        number = draw(st.sampled_from(["6", "-1.5", "1e9", ""]))
        return num(concept, number, draw(st.sampled_from(["mm", "cm", "1", ""])), *below, relation=relation)
    if kind == "CODE":
        return code(concept, draw(VALUES), *below, relation=relation)
    if kind == "TEXT":
        return node("TEXT", concept, *below, relation=relation, TextValue=draw(WORDS))
    return node(kind, concept if draw(st.booleans()) else None, *below, relation=relation)


@settings(max_examples=100, deadline=None)
@given(st.lists(items(), min_size=1, max_size=4))
def test_any_tree(children: list[Dataset]) -> None:
    """Any tree is read without a crash, into lines that are bounded, clean and each there once."""
    report = comprehensive(*children, node("CONTAINER", GROUP))
    report.SpecificCharacterSet = "ISO_IR 192"
    found: tuple[Measured, ...] = read(report).measured
    assert len(set(found)) == len(found) <= MAX_MEASURED
    assert all(len(m.line) <= MAX_LINE_CHARS and not holds_controls(m.line) and "\n" not in m.line for m in found)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 4000), st.binary(min_size=1, max_size=8))
def test_damaged_bytes(at: int, damage: bytes) -> None:
    """A report of which a vendor wrote any bytes wrong is read, or refused by a fault: never anything else."""
    raw = bytearray(SPECIMEN)
    start = 144 + int.from_bytes(raw[140:144], "little")  # group 0002 is ours
    at = start + at % (len(raw) - start)
    raw[at : at + len(damage)] = damage
    try:
        events = TRANSLATE(bytes(raw))
    except MessageFault:
        return
    assert len(events) <= 2


SPECIMEN = write(ai_report())
