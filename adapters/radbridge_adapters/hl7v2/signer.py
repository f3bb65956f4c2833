"""The designated signer: OBR-32, else OBX-16, else TXA-10 or TXA-9, else the site's default."""

from __future__ import annotations

from collections.abc import Sequence

from radbridge.case import Radiologist
from radbridge_adapters.hl7v2.er7 import Segment, Value

PLACES = (("OBR", 32), ("OBX", 16), ("TXA", 10), ("TXA", 9))


def read_signer(segments: Sequence[Segment], default: str) -> Radiologist:
    """Who is to sign what these segments report."""
    for name, position in PLACES:
        for segment in segments:
            for value in segment.repeats(position) if segment.name == name else ():
                signer = _person(value)
                if signer.id:
                    return signer
    return Radiologist(id=default)


def _person(value: Value) -> Radiologist:
    """OBR-32 is an NDL, whose first component is a person in subcomponents; senders write an XCN there as often."""
    parts = value.subcomponents(1)
    if len(parts) < 2:
        parts = value.components()
    names = [part.replace("^", " ") for part in parts[1:4]]
    return Radiologist(id=parts[0].strip(), name="^".join(names).rstrip("^"))
