"""Who measured: an AI tool, a device, or a person at one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from radbridge_adapters.dicom.encoding.values import Elements
from radbridge_adapters.dicom.incoming.sr_codes import word_of
from radbridge_adapters.dicom.incoming.sr_tree import Node

DOSE_CLASSES = frozenset(("1.2.840.10008.5.1.4.1.1.88.67", "1.2.840.10008.5.1.4.1.1.88.76"))
"""X-Ray Radiation Dose SR and its enhanced form."""
CAD_CLASSES = frozenset(
    ("1.2.840.10008.5.1.4.1.1.88.50", "1.2.840.10008.5.1.4.1.1.88.65", "1.2.840.10008.5.1.4.1.1.88.69")
)
"""Mammography, Chest and Colon CAD SR."""
LOG_CLASSES = frozenset(
    (
        "1.2.840.10008.5.1.4.1.1.88.40",
        "1.2.840.10008.5.1.4.1.1.88.68",
        "1.2.840.10008.5.1.4.1.1.88.71",
        "1.2.840.10008.5.1.4.1.1.88.73",
        "1.2.840.10008.5.1.4.1.1.88.74",
        "1.2.840.10008.5.1.4.1.1.88.75",
    )
)
"""Procedure Log, Radiopharmaceutical Dose, Acquisition Context, Patient Dose, and imaging agents planned and given."""
_MEASUREMENT_REPORT = "126000"
_PERSON, _DEVICE = "121006", "121007"
_AI_WORDS = re.compile(r"(?<![a-z])(?:AI|CAD[ex]?|deep|neural|algorithm|machine learning)(?![a-z])", re.IGNORECASE)
_NAMELESS = "imaging device"
_MAX_CHARS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Who is behind a document."""

    maker: str
    """The device's manufacturer."""
    device: str
    """What the device is called."""
    is_ai: bool
    is_person: bool
    """Somebody wrote it, or vouches for it: its sentences are no machine's."""
    is_dose: bool
    is_log: bool
    """What was done to the patient, and nothing that was found."""

    def name(self, algorithm: str) -> str:
        """What stands in the brackets: `AI: Acme LungScan`, or `Acme CT 3000`."""
        name = _join(self.maker, algorithm or self.device) or _NAMELESS
        return f"AI: {name}" if algorithm or self.is_ai else name


def read_source(document: Elements, root: Node) -> Source:
    """Of the observers that the content names (TID 1002), else of the equipment that made the object."""
    observers = {
        role: next((n for n in root.children if word_of(n.concept, "role") == role and _said(n)), None)
        for role in ("observer name", "observer manufacturer", "observer model")
    }
    told = {role: _said(node) if node else "" for role, node in observers.items()}
    kinds = {n.code.value for n in root.children if word_of(n.concept, "role") == "observer type"}
    maker = told["observer manufacturer"] or document.text("Manufacturer")
    device = told["observer name"] or told["observer model"] or document.text("ManufacturerModelName")
    by_device_alone = _DEVICE in kinds and _PERSON not in kinds
    equipment = " ".join((maker, device, *_equipment(document)))
    sop_class = document.text("SOPClassUID")
    return Source(
        maker=maker,
        device=device,
        is_ai=sop_class in CAD_CLASSES
        or (by_device_alone and root.concept.value == _MEASUREMENT_REPORT)
        or bool(_AI_WORDS.search(equipment)),
        is_person=_PERSON in kinds or document.text("VerificationFlag").upper() == "VERIFIED",
        is_dose=sop_class in DOSE_CLASSES,
        is_log=sop_class in LOG_CLASSES,
    )


def _equipment(document: Elements) -> Iterator[str]:
    yield document.text("ManufacturerModelName")
    for item in document.items("ContributingEquipmentSequence"):
        yield from (item.text("Manufacturer"), item.text("ManufacturerModelName"), item.text("ContributionDescription"))


def _said(node: Node) -> str:
    return node.text or node.code.display


def _join(maker: str, name: str) -> str:
    """`Acme` and `Acme LungScan` are `Acme LungScan`."""
    parts = [name] if maker.lower() in name.lower() else [maker, name]
    return " ".join(" ".join(parts).split())[:_MAX_CHARS]
