"""Bytes to begin with: what real senders write."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from radbridge_adapters.dicom.encoding.encode import encode
from radbridge_adapters.dicom.encoding.header import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from radbridge_adapters.hl7v2.framing import encode as frame
from tests.support.dicom_scu import image
from tests.support.fhir import observation, order, patient, report
from tests.support.fhircast import event, report_context

MESSAGES = sorted((Path(__file__).parents[1] / "messages").glob("*.hl7"))


def hl7v2() -> Sequence[bytes]:
    """Every message of the tests' collection."""
    return [file.read_bytes() for file in MESSAGES]


def mllp() -> Sequence[bytes]:
    """The same as blocks, whole, without their last byte, and two in a row."""
    raws = hl7v2()
    return [b"\x03" + frame(raw) for raw in raws] + [frame(raws[0])[:-1] + frame(raws[1]), frame(raws[0] * 5)]


def batch() -> Sequence[bytes]:
    """Two messages in a batch, in a file, and bare."""
    one, two = hl7v2()[:2]
    head, end = b"BHS|^~\\&|RIS|HOSP|||20260301||||B1\r", b"BTS|2\r"
    return [head + one + two + end, b"FHS|^~\\&|RIS\r" + head + one + end + head + two + end + b"FTS|2\r", one]


def fhir() -> Sequence[bytes]:
    """Resources, and a transaction and a batch of them."""
    ones = [report(), patient(), order(), observation()]
    entries = [{"resource": r, "request": {"method": "POST", "url": r["resourceType"]}} for r in ones]
    bundles = [{"resourceType": "Bundle", "type": kind, "entry": entries} for kind in ("transaction", "batch")]
    return [json.dumps(document).encode() for document in (*ones, *bundles)]


def fhircast() -> Sequence[bytes]:
    """Opening, updating and closing a report."""
    context = report_context("A1")
    update = [*context[:1], {"key": "updates", "resource": {"resourceType": "Bundle", "type": "transaction"}}]
    said = [
        event("DiagnosticReport-open", context, id="1"),
        event("DiagnosticReport-update", update, version="1", id="2"),
        event("DiagnosticReport-close", context[:1], id="3"),
    ]
    return [json.dumps(document).encode() for document in said]


def dicom() -> Sequence[bytes]:
    """A slice in three encodings; the first byte chooses how it is read."""
    slice_ = image(PixelData=bytes(8), Rows=2, Columns=2)
    syntaxes = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG)
    return [bytes([n]) + encode(slice_, syntax) for n, syntax in enumerate(syntaxes)]


SEEDS: Mapping[str, Callable[[], Sequence[bytes]]] = {
    "mllp": mllp,
    "hl7v2": hl7v2,
    "batch": batch,
    "fhir": fhir,
    "fhircast": fhircast,
    "dicom": dicom,
}
