"""What the processor has to know of a message before it reads it: does it hurry, and whom else is it about."""

from __future__ import annotations

from radbridge.imaging import fold_id
from radbridge_adapters.hl7v2.accession import AccessionPlaces
from radbridge_adapters.hl7v2.er7 import Message, Segment
from radbridge_adapters.hl7v2.order import split_groups
from radbridge_adapters.hl7v2.patient import choose_id

_PLACES = {"TQ1": ((9, 1),), "ORC": ((7, 6),), "OBR": ((27, 6), (5, 1))}
"""Where table 0027 (later 0485) stands: TQ1-9, and before version 2.5 ORC-7.6, OBR-27.6 and OBR-5."""
_HURRIED = frozenset("SA")
"""Stat, and as soon as possible."""
_EMERGENCY = "E"
"""Table 0004, PV1-2."""


def is_urgent(message: Message) -> bool:
    """Whether an order says stat or as soon as possible, or the patient is an emergency."""
    for segment in message.segments:
        if (places := _PLACES.get(segment.name)) is not None:
            for position, component in places:  # hardly ever valued: the hot path ends at the raw field
                if segment.raw(position) and segment.text(position, component).upper() in _HURRIED:
                    return True
        elif segment.name == "PV1" and segment.text(2).upper() == _EMERGENCY:
            return True
    return False


def find_touched(kind: str, message: Message, accession: str, places: AccessionPlaces) -> tuple[str, ...]:
    """What a message changes besides the case of `accession`: other accessions, or the patients of an ADT (`P:…`).

    The rest of its messages have to keep their order with it, though they may lie in another gateway's share.
    """
    if kind.startswith("ADT"):
        return _patients(message)
    names = [segment.name for segment in message.segments]
    if kind.startswith("MDM") or (names.count("OBR") < 2 and names.count("ORC") < 2):  # one order: the hot path
        return ()
    named = (places.find_number(group.segments) for group in split_groups(message.segments))
    return tuple(dict.fromkeys(number for number in named if number not in ("", accession)))


def _patients(message: Message) -> tuple[str, ...]:
    told = [_number(s, 3 if s.name == "PID" else 1) for s in message.segments if s.name in ("PID", "MRG")]
    return tuple(dict.fromkeys(f"P:{number}" for number in told if number))


def _number(segment: Segment, position: int) -> str:
    value = choose_id(segment, position)
    return fold_id(value.text()) if value else ""
