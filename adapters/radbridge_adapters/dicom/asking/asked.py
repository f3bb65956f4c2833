"""What a question asks for, and what is kept of its answers: attributes by keyword, sequences as tables in tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeAlias
from uuid import UUID

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from radbridge.case import CaseKey
from radbridge_adapters.dicom.encoding.encode import encode_items
from radbridge_adapters.dicom.encoding.header import EXPLICIT_LITTLE
from radbridge_adapters.dicom.encoding.part10 import encode_raw, wrap_part10
from radbridge_adapters.dicom.encoding.values import Elements, tag_of

Wanted: TypeAlias = "Mapping[str, Wanted | None]"
"""Keyword -> the keywords of a sequence's items; None for an attribute that is no sequence."""

CODE: Wanted = {"CodeValue": None, "CodingSchemeDesignator": None, "CodeMeaning": None}
ISSUER: Wanted = {"LocalNamespaceEntityID": None, "UniversalEntityID": None, "UniversalEntityIDType": None}
UTF8 = "ISO_IR 192"
_WILD = frozenset("*?\\")


def is_plain(value: str) -> bool:
    """Whether a value can be asked for and means only itself: no wildcard, no list (PS3.4 C.2.2.2)."""
    return bool(value) and not _WILD & set(value) and value.isprintable()


def ask_for(wanted: Wanted, known: Mapping[str, str]) -> Dataset:
    """A query: what is known to match by, and all else that is wanted, empty."""
    query = Dataset()
    if not all(value.isascii() for value in known.values()):
        put(query, "SpecificCharacterSet", UTF8)
    for keyword, below in wanted.items():
        put(query, keyword, [ask_for(below, {})] if below is not None else "")
    for keyword, value in known.items():
        put(query, keyword, value)
    return query


def keep(told: Elements, wanted: Wanted) -> Dataset:
    """Of an answer what is wanted, as text in UTF-8: whatever its character set and encoding were."""
    kept = Dataset()
    for keyword, below in wanted.items():
        if below is not None:
            if items := [keep(item, below) for item in told.items(keyword)]:
                put(kept, keyword, items)
        elif any(values := told.texts(keyword)):
            put(kept, keyword, values if len(values) > 1 else values[0])
    return kept


def put(dataset: Dataset, keyword: str, value: str | Sequence[str] | Sequence[Dataset]) -> None:
    """Set an attribute, encoded in explicit VR and UTF-8.

    What a peer told may break every rule of its VR. Raw, it is never converted, and so never refused or warned of.
    """
    tag = Tag(tag_of(keyword))
    vr = dictionary_VR(tag)
    if isinstance(value, str) or (value and isinstance(value[0], str)):
        text = value if isinstance(value, str) else "\\".join(str(v) for v in value)
        raw = text.encode("utf-8", "replace")
        raw += (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)
    else:
        raw = encode_items([item for item in value if isinstance(item, Dataset)])
    dataset[tag] = RawDataElement(tag, vr, len(raw), raw, 0, False, True)


def name_case(answer: Dataset, key: CaseKey) -> Dataset:
    """The answer, saying which case it is for: so that in the journal it speaks for itself."""
    dataset = deepcopy(answer)
    put(dataset, "SpecificCharacterSet", UTF8)
    put(dataset, "AccessionNumber", key.accession)
    if key.issuer:
        issuer = Dataset()
        put(issuer, "LocalNamespaceEntityID", key.issuer)
        put(dataset, "IssuerOfAccessionNumberSequence", [issuer])
    elif "IssuerOfAccessionNumberSequence" in dataset:
        del dataset.IssuerOfAccessionNumberSequence
    return dataset


def journal(dataset: Dataset, sop_class: str) -> tuple[str, bytes]:
    """An answer as the journal keeps it, and its digest: the same answer twice is one message."""
    elements = encode_raw(dataset)
    digest = hashlib.sha256(elements).hexdigest()[:32]
    return digest, wrap_part10(elements, EXPLICIT_LITTLE, sop_class, f"2.25.{UUID(digest).int}")


def keep_json(told: Mapping[str, Any], wanted: Wanted) -> Dataset:
    """`keep` of an answer in DICOM JSON (PS3.18 annex F). What isn't as it should be there isn't told."""
    kept = Dataset()
    for keyword, below in wanted.items():
        attribute = told.get(f"{tag_of(keyword):08X}")
        values = attribute.get("Value") if isinstance(attribute, Mapping) else None
        present = [v for v in values if v is not None] if isinstance(values, list) else []
        if below is not None:
            if items := [keep_json(v, below) for v in present if isinstance(v, Mapping)]:
                put(kept, keyword, items)
        elif texts := [t for v in present if (t := _text(v))]:
            put(kept, keyword, texts if len(texts) > 1 else texts[0])
    return kept


def _text(value: object) -> str:
    """A value of DICOM JSON; a person's name is an object of its representations."""
    if isinstance(value, Mapping):
        value = value.get("Alphabetic")
    return str(value) if isinstance(value, str | int | float) else ""
