"""What is read of a message before it is committed, so that it is applied in its turn."""

from __future__ import annotations

import pytest

from radbridge_adapters.hl7v2.accession import AccessionPlaces, parse_places
from radbridge_adapters.hl7v2.er7 import Message
from radbridge_adapters.hl7v2.priority import find_touched, is_urgent

HEAD = "MSH|^~\\&|RIS|H|RB|H|20261122||ORM^O01|1|P|2.5.1"
PLACES = AccessionPlaces(places=parse_places(["OBR-18", "OBR-3"]))


def message(*segments: str) -> Message:
    """A message of these segments."""
    return Message("\r".join((HEAD, *segments)))


@pytest.mark.parametrize(
    ("segment", "urgent"),
    [
        ("TQ1|1||||||||S", True),
        ("TQ1|1||||||||A^ASAP", True),
        ("TQ1|1||||||||R", False),
        ("TQ1|1||||||||", False),
        ("ORC|NW||||||1^once^^^^S", True),
        ("ORC|NW||||||1^once^^^^R", False),
        ("ORC|NW||||||S", False),
        ("OBR|1||A1||S", True),
        ("OBR|1||A1||s", True),
        ("OBR|1||A1||R||||||||||||||||||||||^^^^^A", True),
        ("OBR|1||A1||||||||||||||||||||||||^^^^^T", False),
        ("PV1|1|E", True),
        ("PV1|1|I", False),
        ("OBX|5|TX|S||S", False),
    ],
)
def test_an_order_says_that_it_hurries(segment: str, urgent: bool) -> None:
    """TQ1-9, ORC-7.6, OBR-27.6 and OBR-5 say stat (S) or as soon as possible (A), PV1-2 says emergency (E)."""
    assert is_urgent(message("PID|1||900001", segment)) is urgent


def test_other_accessions_are_touched() -> None:
    """A message of several orders tells of each accession but the one it is filed under, once."""
    orders = message("ORC|NW", "OBR|1||A1", "ORC|NW", "OBR|2||A2", "ORC|NW", "OBR|3||A3", "OBR|4||A2")
    assert find_touched("ORM^O01", orders, "A1", PLACES) == ("A2", "A3")
    assert find_touched("ORM^O01", message("ORC|NW", "OBR|1||A1"), "A1", PLACES) == ()


def test_an_adt_touches_its_patients() -> None:
    """An update touches the patient's number as it is compared, a merge both numbers."""
    pid = "PID|1||00900001^^^H^PI~0090 0002^^^H^MR"
    assert find_touched("ADT^A08", message(pid), "", PLACES) == ("P:900002",)
    assert find_touched("ADT^A40", message(pid, "MRG|0700"), "", PLACES) == ("P:900002", "P:700")
