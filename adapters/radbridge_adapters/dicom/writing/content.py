"""Content items of the documents that we write (PS3.3, C.17.3), and the codes in them (PS3.16)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from pydicom import config as pydicom_config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from radbridge.case import Code
from radbridge_adapters.dicom.encoding.values import tag_of
from radbridge_adapters.dicom.writing.uids import device_uid
from radbridge_adapters.dicom.writing.wording import line

DEVICE_NAME: Final = "RadBridge"


def put(dataset: Dataset, keyword: str, value: str) -> None:
    """Set an attribute to what somebody else told: pydicom must not judge it, nor quote it in a warning."""
    tag = tag_of(keyword)
    dataset.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=pydicom_config.IGNORE))


def dcm(value: str, meaning: str) -> Code:
    """A concept of DICOM's own (PS3.16, D)."""
    return Code(value=value, system="DCM", display=meaning)


LANGUAGE = dcm("121049", "Language of Content Item and Descendants")
ENGLISH = Code(value="en", system="RFC5646", display="English")
OBSERVER_TYPE = dcm("121005", "Observer Type")
DEVICE = dcm("121007", "Device")
DEVICE_OBSERVER_UID = dcm("121012", "Device Observer UID")
DEVICE_OBSERVER_NAME = dcm("121013", "Device Observer Name")
DEVICE_OBSERVER_MANUFACTURER = dcm("121014", "Device Observer Manufacturer")


class Relation(StrEnum):
    """How an item belongs to the one above it."""

    CONTAINS = "CONTAINS"
    CONTEXT = "HAS OBS CONTEXT"
    MODIFIER = "HAS CONCEPT MOD"


def coded(code: Code) -> list[Dataset]:
    """A code sequence of one item."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.system
    item.CodeMeaning = line(code.display) or code.value
    return [item]


def text(concept: Code, value: str, relation: Relation = Relation.CONTAINS) -> Dataset:
    """A TEXT item."""
    item = _item("TEXT", relation, concept)
    item.TextValue = value
    return item


def choice(concept: Code, value: Code, relation: Relation) -> Dataset:
    """A CODE item."""
    item = _item("CODE", relation, concept)
    item.ConceptCodeSequence = coded(value)
    return item


def container(concept: Code, children: Sequence[Dataset]) -> Dataset:
    """A section."""
    item = _item("CONTAINER", Relation.CONTAINS, concept)
    item.ContinuityOfContent = "SEPARATE"
    item.ContentSequence = list(children)
    return item


def reference(sop_class: str, sop_instance: str) -> Dataset:
    """A COMPOSITE item: it names an object and needs no concept (TID 2010)."""
    item = Dataset()
    item.RelationshipType = Relation.CONTAINS.value
    item.ValueType = "COMPOSITE"
    item.ReferencedSOPSequence = [referenced(sop_class, sop_instance)]
    return item


def referenced(sop_class: str, sop_instance: str) -> Dataset:
    """One item of a sequence of references."""
    item = Dataset()
    put(item, "ReferencedSOPClassUID", sop_class)
    put(item, "ReferencedSOPInstanceUID", sop_instance)
    return item


def open_root(document: Dataset, title: Code, template: str, children: Sequence[Dataset]) -> None:
    """Put the root container into a document, with the template that it follows."""
    document.ValueType = "CONTAINER"
    document.ConceptNameCodeSequence = coded(title)
    document.ContinuityOfContent = "SEPARATE"
    used = Dataset()
    used.MappingResource = "DCMR"
    used.TemplateIdentifier = template
    document.ContentTemplateSequence = [used]
    document.ContentSequence = list(children)


def observed_by_us(ae_title: str) -> list[Dataset]:
    """A device speaks, no person (TID 1002, TID 1004)."""
    uid = _item("UIDREF", Relation.CONTEXT, DEVICE_OBSERVER_UID)
    uid.UID = device_uid(ae_title)
    return [
        choice(OBSERVER_TYPE, DEVICE, Relation.CONTEXT),
        uid,
        text(DEVICE_OBSERVER_NAME, DEVICE_NAME, Relation.CONTEXT),
        text(DEVICE_OBSERVER_MANUFACTURER, DEVICE_NAME, Relation.CONTEXT),
    ]


def _item(value_type: str, relation: Relation, concept: Code) -> Dataset:
    item = Dataset()
    item.RelationshipType = relation.value
    item.ValueType = value_type
    item.ConceptNameCodeSequence = coded(concept)
    return item
