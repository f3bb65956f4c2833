"""What a message, its case, its patient and its signer are found by: an index takes so many bytes and no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from radbridge.journal.types import is_too_long
from radbridge_adapters.hl7v2 import signer
from radbridge_adapters.hl7v2.accession import AccessionPlaces
from radbridge_adapters.hl7v2.er7 import Message, Segment
from radbridge_adapters.hl7v2.faults import fault
from radbridge_adapters.hl7v2.header import Header
from radbridge_adapters.hl7v2.order import split_groups
from radbridge_adapters.hl7v2.patient import choose_id

_SHORT = 60
"""Characters as sent that stay below the limit of a key, whatever is escaped in them: not looked at on the hot path."""
_PATIENTS = {"PID": (3, "patient_too_long"), "MRG": (1, "prior_patient_too_long")}


class KeyCheck:
    """Tells values that nothing could be found by, before their message is acknowledged."""

    def __init__(self, places: AccessionPlaces) -> None:
        self._places = places
        self._fields: dict[str, tuple[int, ...]] = {}
        named = ((name, position) for name, (position, _) in _PATIENTS.items())
        for name, position in (*named, *signer.PLACES, *places.places):
            self._fields[name] = (*self._fields.get(name, ()), position)

    def check(self, header: Header, message: Message, accessions: Iterable[str]) -> None:
        """Raises MessageFault `…_too_long`. `accessions` are those that the message changes."""
        told = [("sender_too_long", header.sender), ("control_id_too_long", header.control_id)]
        told += [("accession_too_long", number) for number in accessions]
        if self._has_long(message.segments):
            told += self._inside(header, message)
        for reason, key in told:
            if is_too_long(key):
                raise fault(reason)

    def _has_long(self, segments: Sequence[Segment]) -> bool:
        fields = self._fields
        for segment in segments:  # plain loops: the hot path
            for position in fields.get(segment.name, ()):
                if segment.reaches(position) and len(segment.raw(position)) > _SHORT:
                    return True
        return False

    def _inside(self, header: Header, message: Message) -> Iterator[tuple[str, str]]:
        """As the translator will read them."""
        for segment in message.segments:
            position, reason = _PATIENTS.get(segment.name, (0, ""))
            if reason and (patient := choose_id(segment, position)) is not None:
                yield from ((reason, patient.text()), (reason, patient.text(4)))
        for group in _groups(header, message):
            key = self._places.find(group)
            yield "issuer_too_long", key.issuer if key else ""
            yield "signer_too_long", signer.read_signer(group, "").id


def _groups(header: Header, message: Message) -> list[Sequence[Segment]]:
    """What speaks of one case each."""
    if header.kind.startswith("MDM"):
        return [message.segments]
    return [group.segments for group in split_groups(message.segments)]
