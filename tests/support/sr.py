"""Drafts in every shape that an SR has to take, and what reads the SR back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from radbridge.case import Case, CaseKey, Code, Order, Patient, Sex, Study
from radbridge.draft import DraftImpression, Flag, Severity
from radbridge_adapters.dicom.encoding.part10 import read_part10
from radbridge_adapters.dicom.writing.compose import Composer
from radbridge_adapters.dicom.writing.document import Instance
from radbridge_adapters.dicom.writing.withdraw import compose_note
from tests.support import dcmtk
from tests.support.drafts import AT, CASE, DRAFT

COMPOSER = Composer(destination="pacs", ae_title="RADBRIDGE", zone=ZoneInfo("Europe/Zurich"))
IMAGES = tuple(
    Instance(sop_class=CTImageStorage, sop_instance=f"1.2.3.{series}.{number}", series=f"1.2.3.{series}")
    for series in (1, 2)
    for number in (1, 2, 3)
)
_FULL = replace(
    CASE,
    patient=Patient(id="900001", issuer="HOSP", name="DOE^JANE^Q^JR", birth_date=date(1955, 3, 1), sex=Sex.FEMALE),
    study=Study(modality="CT", at=AT, uid="1.2.3"),
    order=Order(
        placer="P1", filler="F1", procedure=Code(value="24627-2", system="LN", display="CT Chest"), reason="Cough"
    ),
)
_FLAGS = tuple(
    Flag(kind=kind, message=f"{kind}: 16 mm here,\n6 mm there", severity=severity)
    for kind, severity in (("measurement", Severity.WARNING), ("laterality", Severity.CRITICAL))
)

Shape = tuple[Case, DraftImpression, tuple[Instance, ...]]
SHAPES: dict[str, Shape] = {
    "plain": (CASE, DRAFT, ()),
    "full": (_FULL, replace(DRAFT, flags=_FLAGS), IMAGES),
    "nothing known": (Case(key=CaseKey(accession="A1")), replace(DRAFT, flags=()), ()),
    "latin": (_FULL, replace(DRAFT, text="Größe unverändert, 4 µm.\nKein Erguß."), IMAGES),
    "unicode": (
        replace(_FULL, patient=replace(_FULL.patient, name="山田^太郎")),
        replace(DRAFT, text="Узел ≥ 4 mm.\n变化不大。"),
        IMAGES,
    ),
    "long": (_FULL, replace(DRAFT, text="\n".join(f"{n}. Stable nodule." for n in range(1500))), IMAGES),
    "hostile": (
        Case(
            key=CaseKey(accession="A\\1" + "0" * 40, issuer="I\\S" * 40),
            patient=Patient(id="9\n1" * 40, issuer="\x00", name="A=B\\C^D" * 30),
            order=Order(placer="x" * 400, procedure=Code(value="v" * 40, system="\\", display="d\\" * 90)),
            study=Study(uid="1.02.x", at=datetime(1890, 1, 1, tzinfo=UTC)),
        ),
        replace(DRAFT, text="\x00\x1b[31m a\\b \u2028 c\ud800\t.\r\n\r\n", model="m\\" * 80, lora="l\n" * 80),
        (),
    ),
}


def write(shape: Shape) -> bytes:
    """The SR."""
    case, draft, images = shape
    return COMPOSER.compose(case, draft, images)


def write_note(shape: Shape) -> bytes:
    """The note that takes that SR back."""
    return compose_note(read_part10(write(shape)), "RB1", "RADBRIDGE", AT)


DOCUMENTS: dict[str, Callable[[Shape], bytes]] = {"draft": write, "withdrawal": write_note}


def items(document: Dataset, code: str) -> list[Dataset]:
    """Every content item with this concept, in the order of the document."""
    found: list[Dataset] = []
    for item in document.get("ContentSequence", ()):
        names = item.get("ConceptNameCodeSequence")
        found += [item] if names and names[0].CodeValue == code else []
        found += items(item, code)
    return found


async def dsrdump(path: Path) -> dcmtk.Outcome:
    """DCMTK's reading of a document, with its long values whole."""
    return await dcmtk.run("dsrdump", "+Pl", path)


def check(path: Path) -> tuple[dcmtk.Outcome, dcmtk.Outcome]:
    """`dsrdump` and `dciodvfy` on a document, without an event loop."""
    return asyncio.run(dsrdump(path)), asyncio.run(dcmtk.run("dciodvfy", path))
