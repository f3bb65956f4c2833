"""ORC, OBR, TQ1, IPC and ZDS to `Order` and `Study`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo

from radbridge.case import Code, Order, Study
from radbridge.procedure import read_body_parts, read_contrast, read_laterality, read_modality
from radbridge_adapters.hl7v2.er7 import Segment, Value
from radbridge_adapters.hl7v2.times import read_time

CANCELLING = frozenset({"CA", "DC", "OC", "OD", "CR", "DR"})
"""Table 0119, ORC-1: cancelled or discontinued, asked for or done."""
CANCELLED_STATES = frozenset({"CA", "DC"})
"""Table 0038, ORC-5, told with a status change (ORC-1 `SC`)."""

_STUDY_UID = "113014"
"""DCM code of an OBX that carries the Study Instance UID (IHE)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderGroup:
    """The segments of one order, or of one result: from an ORC or OBR to the next."""

    segments: tuple[Segment, ...]

    def first(self, name: str) -> Segment | None:
        """The first segment of that name."""
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[Segment]:
        """Every segment of that name."""
        return (segment for segment in self.segments if segment.name == name)

    def text(self, name: str, position: int, component: int = 1) -> str:
        """A field of the first segment of that name; empty without one."""
        segment = self.first(name)
        return segment.text(position, component) if segment else ""


def split_groups(segments: Sequence[Segment]) -> list[OrderGroup]:
    """One group per order: an ORC begins one, and so does an OBR unless the group's ORC still waits for its OBR."""
    groups: list[list[Segment]] = []
    has_obr = False
    for segment in segments:
        if segment.name == "ORC" or (segment.name == "OBR" and (has_obr or not groups)):
            groups.append([])
            has_obr = False
        has_obr = has_obr or segment.name == "OBR"
        if groups:
            groups[-1].append(segment)
    return [OrderGroup(segments=tuple(group)) for group in groups]


def is_cancelled(group: OrderGroup) -> bool:
    """Whether an order group takes the order back."""
    control = group.text("ORC", 1).upper()
    return control in CANCELLING or (control == "SC" and group.text("ORC", 5).upper() in CANCELLED_STATES)


def read_order(group: OrderGroup) -> Order:
    """What was asked for."""
    obr = group.first("OBR")
    return Order(
        placer=group.text("OBR", 2) or group.text("ORC", 2),
        filler=group.text("OBR", 3) or group.text("ORC", 3),
        procedure=_procedure(obr),
        reason="; ".join(_coded_text(value) for value in obr.repeats(31)) if obr else "",
        clinical_information=" ".join(value.whole() for value in obr.repeats(13)).strip() if obr else "",
        priority=_priority(group),
    )


def read_study(group: OrderGroup, zone: tzinfo) -> Study:
    """What was, or is to be, examined."""
    procedure = _procedure(group.first("OBR"))
    name = " ".join(part for part in (procedure.display, procedure.value) if part)
    return Study(
        modality=read_modality(group.text("IPC", 5) or group.text("OBR", 24), name),
        body_part=read_body_parts(" ".join((name, group.text("OBR", 15, 4)))),
        laterality=read_laterality(_modifiers(group.first("OBR")), name),
        contrast=read_contrast(name),
        description=procedure.display,
        uid=_study_uid(group),
        at=read_time(group.text("OBR", 7), zone),
    )


def _procedure(obr: Segment | None) -> Code:
    values = obr.repeats(4) if obr else ()
    if not values:
        return Code()
    value = values[0]
    return Code(
        value=value.text(1) or value.text(4),
        system=value.text(3) or value.text(6),
        display=value.text(2) or value.text(5) or value.text(9),
    )


def _coded_text(value: Value) -> str:
    return value.text(2) or value.text(9) or value.text(5) or value.text(1)


def _priority(group: OrderGroup) -> str:
    """Table 0027 from TQ1-9, ORC-7.6, OBR-27.6 or OBR-5."""
    told = (group.text("TQ1", 9), group.text("ORC", 7, 6), group.text("OBR", 27, 6), group.text("OBR", 5))
    return next((text.upper() for text in told if text), "")


def _modifiers(obr: Segment | None) -> list[str]:
    """Body site and site modifier of OBR-15 (SPS), and the procedure code's modifiers of OBR-45."""
    if obr is None:
        return []
    sources = [obr.text(15, component) for component in (5, 4)]
    codes = [text for value in obr.repeats(45) for text in (value.text(1), value.text(2))]
    return [text for text in (*sources, *codes) if text]


def _study_uid(group: OrderGroup) -> str:
    observed = (obx.text(5) for obx in group.all("OBX") if obx.text(3) == _STUDY_UID)
    return group.text("IPC", 3) or group.text("ZDS", 1) or next(observed, "")
